import { EnrollmentTokenCreated, EnrollmentTokenSpec, EnrollmentTokenView } from "@trigon/model";
import { z } from "zod";
import { ById, ListInput, Pages } from "../shapes.ts";
import { procedure, router } from "../trpc.ts";
import { WatchInput, watch } from "./watch.ts";

const tag = "Enrollment";

export const enrollmentTokenRouter = router({
  list: procedure
    .meta({ scope: "read", rest: { method: "GET", path: "/enrollment-tokens", tag, summary: "List enrollment tokens" } })
    .input(ListInput)
    .output(Pages.enrollmentTokens)
    .query(({ ctx, input }) => ctx.services.enrollment.list(input)),

  create: procedure
    .meta({
      scope: "node:enroll",
      rest: {
        method: "POST",
        path: "/enrollment-tokens",
        tag,
        summary: "Create a one-time enrollment token; the answer holds the one line to run",
        body: "spec",
        creates: true,
      },
    })
    .input(z.strictObject({ spec: EnrollmentTokenSpec }))
    .output(EnrollmentTokenCreated)
    .mutation(({ ctx, input }) => ctx.services.enrollment.create(ctx.call, input.spec)),

  revoke: procedure
    .meta({
      scope: "node:enroll",
      rest: { method: "POST", path: "/enrollment-tokens/{id}/revoke", tag, summary: "Revoke an unused enrollment token" },
    })
    .input(ById)
    .output(EnrollmentTokenView)
    .mutation(({ ctx, input }) => ctx.services.enrollment.revoke(ctx.call, input.id)),

  watch: procedure
    .input(WatchInput)
    .subscription(({ ctx, input, signal }) => watch(ctx.services, "enrollmentToken", input, signal)),
});
