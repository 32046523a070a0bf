import { DirectorGroupSpec, DirectorGroupView, guardFields, Id } from "@trigon/model";
import { z } from "zod";
import { ById, ListInput, Pages, Revision } from "../shapes.ts";
import { procedure, router } from "../trpc.ts";

const tag = "Director groups";

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
      rest: { method: "POST", path: "/director-groups", tag, summary: "Create a director group", body: "spec", creates: true },
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
});
