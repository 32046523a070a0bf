import { ChangeView, GateView } from "@trigon/model";
import { z } from "zod";
import { ById, ChangeListInput, EventsInput, GateListInput, GateName, ListInput, Pages } from "../shapes.ts";
import { procedure, router } from "../trpc.ts";

export const gateRouter = router({
  list: procedure
    .meta({
      scope: "read",
      rest: { method: "GET", path: "/gates", tag: "Gates", summary: "List admission gates and their reasons" },
    })
    .input(GateListInput)
    .output(Pages.gates)
    .query(async ({ ctx, input }) => ({ data: await ctx.services.gates.list(input.serviceId) })),

  force: procedure
    .meta({
      scope: "virtual-service:write",
      rest: {
        method: "POST",
        path: "/virtual-services/{id}/gates/{realServerId}/{directorNodeId}/force",
        tag: "Gates",
        summary: "Admit a real server without its own word that it can serve",
      },
    })
    .input(GateName)
    .output(GateView.extend({ serviceId: z.string() }))
    .mutation(({ ctx, input }) => ctx.services.gates.force(ctx.call, input)),

  forget: procedure
    .meta({
      scope: "virtual-service:write",
      rest: {
        method: "POST",
        path: "/virtual-services/{id}/gates/{realServerId}/{directorNodeId}/forget",
        tag: "Gates",
        summary: "Let a real server go without its director's word that it no longer sends there",
      },
    })
    .input(GateName)
    .mutation(({ ctx, input }) => ctx.services.gates.forget(ctx.call, input)),
});

export const changeRouter = router({
  list: procedure
    .meta({ scope: "read", rest: { method: "GET", path: "/changes", tag: "Changes", summary: "List changes, newest first" } })
    .input(ChangeListInput)
    .output(Pages.changes)
    .query(({ ctx, input }) => ctx.services.changes.list(input)),

  get: procedure
    .meta({
      scope: "read",
      rest: { method: "GET", path: "/changes/{id}", tag: "Changes", summary: "Get a change and its outcomes" },
    })
    .input(ById)
    .output(ChangeView)
    .query(({ ctx, input }) => ctx.services.changes.get(input.id)),

  undo: procedure
    .meta({
      scope: "virtual-service:write",
      rest: { method: "POST", path: "/changes/{id}/undo", tag: "Changes", summary: "Take a change back by a change of its own" },
    })
    .input(ById)
    .output(ChangeView)
    .mutation(({ ctx, input }) => ctx.services.changes.undo(ctx.call, input.id)),

  keep: procedure
    .meta({
      scope: "virtual-service:write",
      rest: {
        method: "POST",
        path: "/changes/{id}/keep",
        tag: "Changes",
        summary: "Keep a guarded change, which would be taken back otherwise",
      },
    })
    .input(ById)
    .output(ChangeView)
    .mutation(({ ctx, input }) => ctx.services.changes.keep(ctx.call, input.id)),
});

export const eventRouter = router({
  list: procedure
    .meta({
      scope: "audit:read",
      rest: {
        method: "GET",
        path: "/events",
        tag: "Events",
        summary: "List what happened, newest first: drift, health, takeovers, changes, nodes",
      },
    })
    .input(EventsInput)
    .output(Pages.events)
    .query(({ ctx, input }) => ctx.services.events.list(input)),
});

export const auditRouter = router({
  list: procedure
    .meta({
      scope: "audit:read",
      rest: { method: "GET", path: "/audit-events", tag: "Audit", summary: "List audit events, newest first" },
    })
    .input(ListInput)
    .output(Pages.auditEvents)
    .query(({ ctx, input }) => ctx.services.audit.list(input)),
});
