import { directorGroupRouter } from "./routers/director-group.ts";
import { enrollmentTokenRouter } from "./routers/enrollment-token.ts";
import { nodeRouter } from "./routers/node.ts";
import { auditRouter, changeRouter, eventRouter, gateRouter } from "./routers/records.ts";
import { apiTokenRouter, fleetRouter, notificationTargetRouter, overviewRouter, userRouter } from "./routers/settings.ts";
import { statisticsRouter } from "./routers/statistics.ts";
import { searchRouter, topologyRouter } from "./routers/topology.ts";
import { virtualServiceRouter } from "./routers/virtual-service.ts";
import { createCallerFactory, router } from "./trpc.ts";

/** The whole API. No logic lives in a router: parse, authorise, one service call. */
export const appRouter = router({
  overview: overviewRouter,
  virtualService: virtualServiceRouter,
  directorGroup: directorGroupRouter,
  node: nodeRouter,
  enrollmentToken: enrollmentTokenRouter,
  gate: gateRouter,
  change: changeRouter,
  audit: auditRouter,
  event: eventRouter,
  apiToken: apiTokenRouter,
  fleet: fleetRouter,
  topology: topologyRouter,
  search: searchRouter,
  statistics: statisticsRouter,
  user: userRouter,
  notificationTarget: notificationTargetRouter,
});
export type AppRouter = typeof appRouter;

/** Calls procedures without HTTP: tests and other wiring. */
export const createCaller = createCallerFactory(appRouter);
