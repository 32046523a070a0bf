import { ChangePreview, DirectorGroupSpec, DirectorGroupView, GroupMoveView, guardFields, Id } from "@trigon/model";
import { z } from "zod";
import { ById, GroupWrite, ListInput, Pages, Revision } from "../shapes.ts";
import { procedure, router } from "../trpc.ts";

const tag = "Director groups";
const MoveInput = z.strictObject({
  id: Id,
  /** The member that shall hold the VIPs; null: the first that stands by and is ready. */
  spec: z.strictObject({ toNodeId: Id.nullable().default(null) }).optional(),
});

export const directorGroupRouter = router({
  list: procedure
    .meta({ scope: "read", rest: { method: "GET", path: "/director-groups", tag, summary: "List director groups" } })
    .input(ListInput)
    .output(Pages.directorGroups)
    .query(({ ctx, input }) => ctx.services.directorGroups.list(input)),

  get: procedure
    .meta({ scope: "read", rest: { method: "GET", path: "/director-groups/{id}", tag, summary: "Get a director group" } })
    .input(ById)
    .output(DirectorGroupView)
    .query(({ ctx, input }) => ctx.services.directorGroups.get(input.id)),

  create: procedure
    .meta({
      scope: "node:write",
      rest: {
        method: "POST",
        path: "/director-groups",
        tag,
        summary: "Create a director group",
        body: "spec",
        creates: true,
        preview: true,
      },
    })
    .input(z.strictObject({ spec: DirectorGroupSpec, ...guardFields }))
    .output(DirectorGroupView)
    .mutation(({ ctx, input }) => ctx.services.directorGroups.create(ctx.call, input.spec)),

  replace: procedure
    .meta({
      scope: "node:write",
      rest: {
        method: "PUT",
        path: "/director-groups/{id}",
        tag,
        summary: "Replace a director group",
        body: "spec",
        conditional: true,
        preview: true,
      },
    })
    .input(z.strictObject({ id: Id, revision: Revision, spec: DirectorGroupSpec, ...guardFields }))
    .output(DirectorGroupView)
    .mutation(({ ctx, input }) => ctx.services.directorGroups.replace(ctx.call, input.id, input.revision, input.spec)),

  delete: procedure
    .meta({
      scope: "node:write",
      rest: { method: "DELETE", path: "/director-groups/{id}", tag, summary: "Delete a director group", conditional: true },
    })
    .input(z.strictObject({ id: Id, revision: Revision, ...guardFields }))
    .mutation(({ ctx, input }) => ctx.services.directorGroups.delete(ctx.call, input.id, input.revision)),

  preview: procedure
    .meta({ scope: "node:write" })
    .input(GroupWrite)
    .output(ChangePreview)
    .mutation(({ ctx, input }) => ctx.services.directorGroups.preview(ctx.call, input)),

  moves: procedure
    .meta({
      scope: "read",
      rest: { method: "GET", path: "/director-groups/{id}/moves", tag, summary: "List the takeovers that were asked for" },
    })
    .input(ById)
    .output(Pages.groupMoves)
    .query(({ ctx, input }) => ctx.services.directorGroups.moves(input.id)),

  move: procedure
    .meta({
      scope: "node:write",
      rest: { method: "POST", path: "/director-groups/{id}/move", tag, summary: "Move the VIPs to a peer", body: "spec" },
    })
    .input(MoveInput)
    .output(GroupMoveView)
    .mutation(({ ctx, input }) => ctx.services.directorGroups.move(ctx.call, input.id, input.spec?.toNodeId ?? null)),

  drill: procedure
    .meta({
      scope: "node:write",
      rest: {
        method: "POST",
        path: "/director-groups/{id}/drill",
        tag,
        summary: "Move the VIPs to a peer and back; gaps are as the members tell them by their own clocks, not a client's",
        body: "spec",
      },
    })
    .input(MoveInput)
    .output(GroupMoveView)
    .mutation(({ ctx, input }) => ctx.services.directorGroups.drill(ctx.call, input.id, input.spec?.toNodeId ?? null)),
});
