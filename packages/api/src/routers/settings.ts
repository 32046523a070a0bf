import {
  ApiTokenCreated,
  ApiTokenSpec,
  DeliveryView,
  Id,
  NotificationTargetPatch,
  NotificationTargetSpec,
  NotificationTargetView,
  OverviewView,
  UserPatch,
  UserSpec,
  UserView,
} from "@trigon/model";
import { z } from "zod";
import { ById, FleetView, ListInput, Me, Pages } from "../shapes.ts";
import { procedure, router } from "../trpc.ts";

export const apiTokenRouter = router({
  list: procedure
    .meta({ scope: "admin", rest: { method: "GET", path: "/api-tokens", tag: "API tokens", summary: "List API tokens" } })
    .input(ListInput)
    .output(Pages.apiTokens)
    .query(({ ctx, input }) => ctx.services.apiTokens.list(input)),

  create: procedure
    .meta({
      scope: "admin",
      rest: {
        method: "POST",
        path: "/api-tokens",
        tag: "API tokens",
        summary: "Create an API token; its secret is shown once",
        body: "spec",
        creates: true,
      },
    })
    .input(z.strictObject({ spec: ApiTokenSpec }))
    .output(ApiTokenCreated)
    .mutation(({ ctx, input }) => ctx.services.apiTokens.create(ctx.call, input.spec)),

  revoke: procedure
    .meta({
      scope: "admin",
      rest: { method: "DELETE", path: "/api-tokens/{id}", tag: "API tokens", summary: "Revoke an API token" },
    })
    .input(ById)
    .mutation(({ ctx, input }) => ctx.services.apiTokens.revoke(ctx.call, input.id)),
});

/** `allowMassRemoval`: agents may remove many services at once to get to this database's state. */
const ConfirmRestoreInput = z
  .strictObject({ options: z.strictObject({ allowMassRemoval: z.boolean().default(false) }).optional() })
  .optional();

export const fleetRouter = router({
  get: procedure
    .meta({ scope: "read", rest: { method: "GET", path: "/fleet", tag: "Fleet", summary: "The fleet's id, epoch and sequence" } })
    .output(FleetView)
    .query(({ ctx }) => ctx.services.fleet.get()),

  confirmRestore: procedure
    .meta({
      scope: "admin",
      rest: {
        method: "POST",
        path: "/fleet/confirm-restore",
        tag: "Fleet",
        summary: "Take a restored database as the truth: starts a new epoch and ends observe-only",
        body: "options",
      },
    })
    .input(ConfirmRestoreInput)
    .output(FleetView)
    .mutation(({ ctx, input }) =>
      ctx.services.fleet.confirmRestore(ctx.call, { allowMassRemoval: input?.options?.allowMassRemoval ?? false }),
    ),
});

export const overviewRouter = router({
  get: procedure
    .meta({ scope: "read", rest: { method: "GET", path: "/overview", tag: "Fleet", summary: "Is anything wrong?" } })
    .output(OverviewView)
    .query(({ ctx }) => ctx.services.overview.get()),
});

/** The id of a user is whatever the session store made. */
const UserId = z.string().min(1).max(64);

export const userRouter = router({
  list: procedure
    .meta({ scope: "admin", rest: { method: "GET", path: "/users", tag: "Users", summary: "List the people who may sign in" } })
    .output(Pages.users)
    .query(({ ctx }) => ctx.services.users.list()),

  create: procedure
    .meta({
      scope: "admin",
      rest: { method: "POST", path: "/users", tag: "Users", summary: "Add a user", body: "spec", creates: true },
    })
    .input(z.strictObject({ spec: UserSpec }))
    .output(UserView)
    .mutation(({ ctx, input }) => ctx.services.users.create(ctx.call, input.spec)),

  patch: procedure
    .meta({
      scope: "admin",
      rest: {
        method: "PATCH",
        path: "/users/{id}",
        tag: "Users",
        summary: "Change a user's role or password, or let nobody sign in as them; the last administrator stays",
        body: "patch",
      },
    })
    .input(z.strictObject({ id: UserId, patch: UserPatch }))
    .output(UserView)
    .mutation(({ ctx, input }) => ctx.services.users.patch(ctx.call, input.id, input.patch)),

  remove: procedure
    .meta({ scope: "admin", rest: { method: "DELETE", path: "/users/{id}", tag: "Users", summary: "Delete a user" } })
    .input(z.strictObject({ id: UserId }))
    .mutation(({ ctx, input }) => ctx.services.users.remove(ctx.call, input.id)),

  me: procedure.output(Me).query(({ ctx }) => ({ kind: ctx.actor.kind, name: ctx.actor.name, scopes: [...ctx.actor.scopes] })),
});

export const notificationTargetRouter = router({
  list: procedure
    .meta({
      scope: "read",
      rest: {
        method: "GET",
        path: "/notification-targets",
        tag: "Notifications",
        summary: "List who is told of events, and how it went",
      },
    })
    .output(Pages.notificationTargets)
    .query(({ ctx }) => ctx.services.notificationTargets.list(ctx.call)),

  create: procedure
    .meta({
      scope: "admin",
      rest: {
        method: "POST",
        path: "/notification-targets",
        tag: "Notifications",
        summary: "Have a program told of events; its secret is never shown again",
        body: "spec",
        creates: true,
      },
    })
    .input(z.strictObject({ spec: NotificationTargetSpec }))
    .output(NotificationTargetView)
    .mutation(({ ctx, input }) => ctx.services.notificationTargets.create(ctx.call, input.spec)),

  patch: procedure
    .meta({
      scope: "admin",
      rest: {
        method: "PATCH",
        path: "/notification-targets/{id}",
        tag: "Notifications",
        summary: "Change single fields; a secret of null takes it away",
        body: "patch",
      },
    })
    .input(z.strictObject({ id: Id, patch: NotificationTargetPatch }))
    .output(NotificationTargetView)
    .mutation(({ ctx, input }) => ctx.services.notificationTargets.patch(ctx.call, input.id, input.patch)),

  remove: procedure
    .meta({
      scope: "admin",
      rest: {
        method: "DELETE",
        path: "/notification-targets/{id}",
        tag: "Notifications",
        summary: "Delete a target and what waits for it",
      },
    })
    .input(ById)
    .mutation(({ ctx, input }) => ctx.services.notificationTargets.remove(ctx.call, input.id)),

  test: procedure
    .meta({
      scope: "admin",
      rest: {
        method: "POST",
        path: "/notification-targets/{id}/test",
        tag: "Notifications",
        summary: "Send a message now and answer what came of it",
      },
    })
    .input(ById)
    .output(DeliveryView)
    .mutation(({ ctx, input }) => ctx.services.notificationTargets.test(ctx.call, input.id)),
});
