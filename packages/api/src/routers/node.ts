import { Id, Name, NodeDetailView, NodeView } from "@trigon/model";
import { z } from "zod";
import { ById, ListInput, MaintenanceOptions, NodeRoles, Pages, Revision } from "../shapes.ts";
import { procedure, router } from "../trpc.ts";
import { WatchInput, watch } from "./watch.ts";

const tag = "Nodes";
const ByRevision = z.strictObject({ id: Id, revision: Revision });

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
    .input(z.strictObject({ id: Id, revision: Revision, spec: z.strictObject({ name: Name }) }))
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
    .input(ById.extend({ spec: MaintenanceOptions.optional() }))
    .output(NodeRoles)
    .mutation(({ ctx, input }) =>
      ctx.services.adminStates.beginMaintenance(ctx.call, input.id, input.spec ?? MaintenanceOptions.parse({})),
    ),

  endMaintenance: procedure
    .meta({
      scope: "node:write",
      rest: { method: "DELETE", path: "/nodes/{id}/maintenance", tag, summary: "Bring a real server back in every service" },
    })
    .input(ById)
    .output(NodeRoles)
    .mutation(({ ctx, input }) => ctx.services.adminStates.endMaintenance(ctx.call, input.id)),

  watch: procedure.input(WatchInput).subscription(({ ctx, input, signal }) => watch(ctx.services, "node", input, signal)),
});
