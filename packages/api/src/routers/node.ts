import {
  ChangePreview,
  ForeignServiceView,
  guardFields,
  Id,
  Name,
  NodeDetailView,
  NodeUpgradeView,
  NodeView,
  VirtualServiceView,
} from "@trigon/model";
import { z } from "zod";
import { ById, ForeignDecisionInput, ListInput, MaintenanceOptions, NodeRoles, Pages, Revision } from "../shapes.ts";
import { procedure, router } from "../trpc.ts";
import { WatchInput, watch } from "./watch.ts";

const tag = "Nodes";
const ByRevision = z.strictObject({ id: Id, revision: Revision });

/** A foreign service by its key, and what it shall be called. */
const Adoption = z.strictObject({ key: z.string().max(256), name: Name });

export const nodeRouter = router({
  list: procedure
    .meta({ scope: "read", rest: { method: "GET", path: "/nodes", tag, summary: "List nodes" } })
    .input(ListInput)
    .output(Pages.nodes)
    .query(({ ctx, input }) => ctx.services.nodes.list(input)),

  get: procedure
    .meta({ scope: "read", rest: { method: "GET", path: "/nodes/{id}", tag, summary: "Get a node and what it holds" } })
    .input(ById)
    .output(NodeDetailView)
    .query(({ ctx, input }) => ctx.services.nodes.get(input.id)),

  rename: procedure
    .meta({
      scope: "node:write",
      rest: { method: "PATCH", path: "/nodes/{id}", tag, summary: "Rename a node", body: "spec", conditional: true },
    })
    .input(z.strictObject({ id: Id, revision: Revision, spec: z.strictObject({ name: Name }), ...guardFields }))
    .output(NodeView)
    .mutation(({ ctx, input }) => ctx.services.nodes.rename(ctx.call, input.id, input.revision, input.spec.name)),

  revoke: procedure
    .meta({
      scope: "node:write",
      rest: { method: "POST", path: "/nodes/{id}/revoke", tag, summary: "Revoke a node's certificate", conditional: true },
    })
    .input(ByRevision)
    .output(NodeView)
    .mutation(({ ctx, input }) => ctx.services.nodes.revoke(ctx.call, input.id, input.revision)),

  decommission: procedure
    .meta({
      scope: "node:write",
      rest: { method: "POST", path: "/nodes/{id}/decommission", tag, summary: "Empty a node and retire it", conditional: true },
    })
    .input(ByRevision)
    .output(NodeView)
    .mutation(({ ctx, input }) => ctx.services.nodes.decommission(ctx.call, input.id, input.revision)),

  roles: procedure
    .meta({
      scope: "read",
      rest: {
        method: "GET",
        path: "/nodes/{id}/real-servers",
        tag,
        summary: "List the real servers that a node is, service by service",
      },
    })
    .input(ById)
    .output(NodeRoles)
    .query(({ ctx, input }) => ctx.services.adminStates.rolesOf(input.id)),

  beginMaintenance: procedure
    .meta({
      scope: "node:write",
      rest: {
        method: "POST",
        path: "/nodes/{id}/maintenance",
        tag,
        summary: "Drain a real server in every service, then take it out",
        body: "spec",
      },
    })
    .input(ById.extend({ spec: MaintenanceOptions.optional(), ...guardFields }))
    .output(NodeRoles)
    .mutation(({ ctx, input }) =>
      ctx.services.adminStates.beginMaintenance(ctx.call, input.id, input.spec ?? MaintenanceOptions.parse({})),
    ),

  endMaintenance: procedure
    .meta({
      scope: "node:write",
      rest: { method: "DELETE", path: "/nodes/{id}/maintenance", tag, summary: "Bring a real server back in every service" },
    })
    .input(ById.extend(guardFields))
    .output(NodeRoles)
    .mutation(({ ctx, input }) => ctx.services.adminStates.endMaintenance(ctx.call, input.id)),

  foreign: procedure
    .meta({
      scope: "read",
      rest: {
        method: "GET",
        path: "/nodes/{id}/foreign-services",
        tag,
        summary: "List services in a director's table that Trigon did not make",
      },
    })
    .input(ById)
    .output(z.object({ data: z.array(ForeignServiceView) }))
    .query(({ ctx, input }) => ctx.services.foreign.list(input.id)),

  adoptForeign: procedure
    .meta({
      scope: "virtual-service:write",
      rest: {
        method: "POST",
        path: "/nodes/{id}/foreign-services/adopt",
        tag,
        summary: "Make a foreign service a virtual service, with the same state in the kernel",
        body: "spec",
        preview: true,
      },
    })
    .input(ById.extend({ spec: Adoption }))
    .output(VirtualServiceView)
    .mutation(({ ctx, input }) => ctx.services.foreign.adopt(ctx.call, { id: input.id, ...input.spec })),

  upgrades: procedure
    .meta({
      scope: "read",
      rest: { method: "GET", path: "/nodes/{id}/upgrades", tag, summary: "List the upgrades of a node that were asked for" },
    })
    .input(ById)
    .output(z.object({ data: z.array(NodeUpgradeView) }))
    .query(({ ctx, input }) => ctx.services.nodes.upgrades.list(input.id)),

  upgrade: procedure
    .meta({
      scope: "node:write",
      rest: {
        method: "POST",
        path: "/nodes/{id}/upgrade",
        tag,
        summary: "Bring a node's program to the console's version; VIPs that it holds go to a peer first",
        body: "spec",
      },
    })
    .input(
      ById.extend({
        spec: z
          .strictObject({
            /** False: it keeps the VIPs of its pairs while its agent starts anew. */
            moveVips: z.boolean().default(true),
          })
          .optional(),
      }),
    )
    .output(NodeUpgradeView)
    .mutation(({ ctx, input }) =>
      ctx.services.nodes.upgrades.start(ctx.call, input.id, { moveVips: input.spec?.moveVips ?? true }),
    ),

  preview: procedure
    .meta({ scope: "virtual-service:write" })
    .input(ById.extend({ action: z.literal("adoptForeign"), spec: Adoption }))
    .output(ChangePreview)
    .mutation(({ ctx, input }) => ctx.services.foreign.previewAdoption(ctx.call, { id: input.id, ...input.spec })),

  decideForeign: procedure
    .meta({
      scope: "node:write",
      rest: {
        method: "POST",
        path: "/nodes/{id}/foreign-services/decide",
        tag,
        summary: "Ignore a foreign service, have its director remove it, or take that back",
        body: "spec",
      },
    })
    .input(ById.extend({ spec: ForeignDecisionInput.omit({ id: true }) }))
    .output(z.object({ data: z.array(ForeignServiceView) }))
    .mutation(({ ctx, input }) => ctx.services.foreign.decide(ctx.call, { id: input.id, ...input.spec })),

  watch: procedure.input(WatchInput).subscription(({ ctx, input, signal }) => watch(ctx.services, "node", input, signal)),
});
