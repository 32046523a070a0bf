import {
  AdoptionView,
  ChangePreview,
  ConnectionTableView,
  FleetCountersView,
  guardFields,
  Id,
  LintFinding,
  Name,
  type ServiceCountersView,
  VirtualServiceSpec,
  VirtualServiceView,
} from "@trigon/model";
import { z } from "zod";
import {
  BulkSpec,
  ById,
  ConnectionsInput,
  DrainOptions,
  FieldErrorShape,
  ListInput,
  Pages,
  Revision,
  RowsInput,
  ServiceWrite,
  VirtualServicePatch,
  VirtualServiceWritten,
} from "../shapes.ts";
import { procedure, router } from "../trpc.ts";
import { every } from "./every.ts";
import { WatchInput, watch } from "./watch.ts";

const tag = "Virtual services";
const OneRealServer = z.strictObject({ id: Id, realServerId: Id, ...guardFields });
const CountersInput = z.strictObject({ serviceIds: z.array(Id).max(1000).optional() });
/** Directors say this often what they count while somebody looks. */
const countersIntervalMs = 1000;
/** A long table is a browser's work to draw. */
const longTable = { services: 20, intervalMs: 2000 } as const;

export const virtualServiceRouter = router({
  list: procedure
    .meta({ scope: "read", rest: { method: "GET", path: "/virtual-services", tag, summary: "List virtual services" } })
    .input(ListInput)
    .output(Pages.virtualServices)
    .query(({ ctx, input }) => ctx.services.virtualServices.list(input)),

  rows: procedure
    .input(RowsInput)
    .output(Pages.serviceRows)
    .query(({ ctx, input }) => ctx.services.virtualServices.rows(input)),

  get: procedure
    .meta({ scope: "read", rest: { method: "GET", path: "/virtual-services/{id}", tag, summary: "Get a virtual service" } })
    .input(ById)
    .output(VirtualServiceView)
    .query(({ ctx, input }) => ctx.services.virtualServices.get(input.id)),

  create: procedure
    .meta({
      scope: "virtual-service:write",
      rest: {
        method: "POST",
        path: "/virtual-services",
        tag,
        summary: "Create a virtual service",
        body: "spec",
        creates: true,
        preview: true,
      },
    })
    .input(z.strictObject({ spec: VirtualServiceSpec, ...guardFields }))
    .output(VirtualServiceWritten)
    .mutation(({ ctx, input }) => ctx.services.virtualServices.create(ctx.call, input.spec)),

  replace: procedure
    .meta({
      scope: "virtual-service:write",
      rest: {
        method: "PUT",
        path: "/virtual-services/{id}",
        tag,
        summary: "Replace a virtual service",
        body: "spec",
        conditional: true,
        preview: true,
      },
    })
    .input(z.strictObject({ id: Id, revision: Revision, spec: VirtualServiceSpec, ...guardFields }))
    .output(VirtualServiceWritten)
    .mutation(({ ctx, input }) => ctx.services.virtualServices.replace(ctx.call, input.id, input.revision, input.spec)),

  putByName: procedure
    .meta({
      scope: "virtual-service:write",
      rest: {
        method: "PUT",
        path: "/virtual-services/by-name/{name}",
        tag,
        summary: "Create or replace the virtual service of this name",
        body: "spec",
        conditional: "optional",
        preview: true,
      },
    })
    .input(z.strictObject({ name: Name, revision: Revision, spec: VirtualServiceSpec.partial({ name: true }), ...guardFields }))
    .output(VirtualServiceWritten)
    .mutation(({ ctx, input: { name, revision, spec } }) =>
      ctx.services.virtualServices.putByName(ctx.call, name, revision, { ...spec, name }),
    ),

  patch: procedure
    .meta({
      scope: "virtual-service:write",
      rest: {
        method: "PATCH",
        path: "/virtual-services/{id}",
        tag,
        summary: "Change some fields of a virtual service",
        body: "spec",
        conditional: true,
        preview: true,
      },
    })
    .input(z.strictObject({ id: Id, revision: Revision, spec: VirtualServicePatch, ...guardFields }))
    .output(VirtualServiceWritten)
    .mutation(({ ctx, input }) => ctx.services.virtualServices.patch(ctx.call, input.id, input.revision, input.spec)),

  delete: procedure
    .meta({
      scope: "virtual-service:write",
      rest: {
        method: "DELETE",
        path: "/virtual-services/{id}",
        tag,
        summary: "Delete a virtual service",
        conditional: true,
        preview: true,
      },
    })
    .input(z.strictObject({ id: Id, revision: Revision, ...guardFields }))
    .mutation(({ ctx, input }) => ctx.services.virtualServices.delete(ctx.call, input.id, input.revision)),

  drain: procedure
    .meta({
      scope: "virtual-service:write",
      rest: {
        method: "POST",
        path: "/virtual-services/{id}/real-servers/{realServerId}/drain",
        tag,
        summary: "Give a real server no new connections; with `maintenance` take it out once drained",
        body: "spec",
      },
    })
    .input(OneRealServer.extend({ spec: DrainOptions.optional() }))
    .output(VirtualServiceWritten)
    .mutation(({ ctx, input: { id, realServerId, spec } }) =>
      ctx.services.adminStates.drain(ctx.call, id, realServerId, spec ?? DrainOptions.parse({})),
    ),

  activate: procedure
    .meta({
      scope: "virtual-service:write",
      rest: {
        method: "POST",
        path: "/virtual-services/{id}/real-servers/{realServerId}/activate",
        tag,
        summary: "Let a real server serve again",
      },
    })
    .input(OneRealServer)
    .output(VirtualServiceWritten)
    .mutation(({ ctx, input }) => ctx.services.adminStates.activate(ctx.call, input.id, input.realServerId)),

  disable: procedure
    .meta({
      scope: "virtual-service:write",
      rest: {
        method: "POST",
        path: "/virtual-services/{id}/real-servers/{realServerId}/disable",
        tag,
        summary: "Take a real server out at once: its connections are reset",
      },
    })
    .input(OneRealServer)
    .output(VirtualServiceWritten)
    .mutation(({ ctx, input }) => ctx.services.adminStates.disable(ctx.call, input.id, input.realServerId)),

  bulk: procedure
    .meta({
      scope: "virtual-service:write",
      rest: {
        method: "POST",
        path: "/virtual-services/bulk",
        tag,
        summary: "Switch on or off, drain, activate or delete many virtual services at once: all of them, or none",
        body: "spec",
        preview: true,
      },
    })
    .input(z.strictObject({ spec: BulkSpec, ...guardFields }))
    .output(z.object({ changed: z.int() }))
    .mutation(({ ctx, input }) => ctx.services.virtualServices.bulk(ctx.call, input.spec)),

  preview: procedure
    .meta({ scope: "virtual-service:write" })
    .input(ServiceWrite)
    .output(ChangePreview)
    .mutation(({ ctx, input }) => {
      if (input.action === "release") return ctx.services.releases.preview(ctx.call, input.id);
      return ctx.services.virtualServices.preview(
        ctx.call,
        input.action === "putByName" ? { ...input, spec: { ...input.spec, name: input.name } } : input,
      );
    }),

  adoption: procedure
    .meta({
      scope: "read",
      rest: {
        method: "GET",
        path: "/virtual-services/{id}/adoption",
        tag,
        summary: "Where a virtual service was adopted from, and whether it can be released",
      },
    })
    .input(ById)
    .output(z.object({ data: AdoptionView.nullable() }))
    .query(({ ctx, input }) => ctx.services.releases.adoption(input.id)),

  release: procedure
    .meta({
      scope: "virtual-service:write",
      rest: {
        method: "POST",
        path: "/virtual-services/{id}/release",
        tag,
        summary: "Forget an adopted virtual service, and leave it in the kernel as it is",
        preview: true,
      },
    })
    .input(z.strictObject({ id: Id }))
    .mutation(({ ctx, input }) => ctx.services.releases.release(ctx.call, input.id)),

  validate: procedure
    .meta({
      scope: "read",
      rest: {
        method: "POST",
        path: "/virtual-services/validate",
        tag,
        summary: "Check a virtual service without writing it: what is wrong, and what is unwise",
        body: "spec",
      },
    })
    .input(z.strictObject({ id: Id.optional(), spec: z.unknown() }))
    .output(z.object({ errors: z.array(FieldErrorShape), lint: z.array(LintFinding) }))
    .mutation(({ ctx, input }) => ctx.services.virtualServices.validate(input.spec, input.id)),

  watch: procedure
    .input(WatchInput)
    .subscription(({ ctx, input, signal }) => watch(ctx.services, "virtualService", input, signal)),

  counters: procedure
    .meta({
      scope: "read",
      rest: { method: "GET", path: "/virtual-service-counters", tag, summary: "Counters of virtual services" },
    })
    .input(CountersInput)
    .output(Pages.counters)
    .query(async ({ ctx, input }) => ({ data: await ctx.services.counters.read(input.serviceIds) })),

  paths: procedure
    .meta({
      scope: "read",
      rest: {
        method: "GET",
        path: "/virtual-services/{id}/paths",
        tag,
        summary: "Whether each real server is reached and answers on the way that clients' packets take, and which step fails",
      },
    })
    .input(z.strictObject({ id: Id }))
    .output(Pages.paths)
    .query(async ({ ctx, input }) => ({ data: await ctx.services.counters.paths(input.id) })),

  connections: procedure
    .meta({
      scope: "read",
      rest: {
        method: "GET",
        path: "/virtual-services/{id}/connections",
        tag,
        summary: "Who is connected and pinned where, as the director that holds the VIP says now",
      },
    })
    .input(ConnectionsInput)
    .output(ConnectionTableView)
    .query(({ ctx, input }) => ctx.services.counters.connections(input)),

  fleetCounters: procedure
    .meta({
      scope: "read",
      rest: { method: "GET", path: "/fleet/counters", tag, summary: "What all virtual services move together" },
    })
    .output(FleetCountersView)
    .query(({ ctx }) => ctx.services.counters.fleet()),

  watchFleetCounters: procedure.subscription(async function* ({ ctx, signal }) {
    for await (const _ of every(countersIntervalMs, signal)) {
      const counters: FleetCountersView = await ctx.services.counters.fleet();
      yield counters;
    }
  }),

  watchCounters: procedure.input(CountersInput.optional()).subscription(async function* ({ ctx, input, signal }) {
    const isLong = (input?.serviceIds?.length ?? longTable.services) >= longTable.services;
    // Without ids: a stream that is taken up again has nothing to catch up on.
    for await (const _ of every(isLong ? longTable.intervalMs : countersIntervalMs, signal)) {
      const counters: ServiceCountersView[] = await ctx.services.counters.read(input?.serviceIds);
      yield counters;
    }
  }),
});
