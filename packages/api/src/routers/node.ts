import { Id, Name, NodeDetailView, NodeView } from "@trigon/model";
import { z } from "zod";
import { ById, ListInput, Pages, Revision } from "../shapes.ts";
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

  watch: procedure.input(WatchInput).subscription(({ ctx, input, signal }) => watch(ctx.services, "node", input, signal)),
});
