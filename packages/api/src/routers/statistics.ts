import { Id, type SparklinesView, StatisticsRange, StatisticsStorageView, StatisticsView } from "@trigon/model";
import { z } from "zod";
import { procedure, router } from "../trpc.ts";
import { every } from "./every.ts";

const tag = "Statistics";
const range = StatisticsRange.default("1h");
const WatchInput = z.strictObject({ range, serviceId: Id.optional() });
const SparklinesInput = z.strictObject({ serviceIds: z.array(Id).max(1000) });
/** As often as new points come. */
const intervalMs = 10_000;

export const statisticsRouter = router({
  fleet: procedure
    .meta({ scope: "read", rest: { method: "GET", path: "/statistics", tag, summary: "What the whole fleet moved, over time" } })
    .input(z.strictObject({ range }))
    .output(StatisticsView)
    .query(({ ctx, input }) => ctx.services.statistics.fleet(input.range)),

  service: procedure
    .meta({
      scope: "read",
      rest: {
        method: "GET",
        path: "/virtual-services/{id}/statistics",
        tag,
        summary: "What a virtual service moved, over time",
      },
    })
    .input(z.strictObject({ id: Id, range }))
    .output(StatisticsView)
    .query(({ ctx, input }) => ctx.services.statistics.service(input.id, input.range)),

  storage: procedure
    .meta({
      scope: "read",
      rest: {
        method: "GET",
        path: "/statistics/storage",
        tag,
        summary: "What statistics take in the database, and can take at most",
      },
    })
    .output(StatisticsStorageView)
    .query(({ ctx }) => ctx.services.statistics.storage()),

  /** Of one service, or of the fleet. */
  watch: procedure.input(WatchInput).subscription(async function* ({ ctx, input, signal }) {
    for await (const _ of every(intervalMs, signal)) {
      const { serviceId } = input;
      const { statistics } = ctx.services;
      const view: StatisticsView = serviceId
        ? await statistics.service(serviceId, input.range)
        : await statistics.fleet(input.range);
      yield view;
    }
  }),

  watchSparklines: procedure.input(SparklinesInput).subscription(async function* ({ ctx, input, signal }) {
    for await (const _ of every(intervalMs, signal)) {
      const view: SparklinesView = await ctx.services.statistics.sparklines(input.serviceIds);
      yield view;
    }
  }),
});
