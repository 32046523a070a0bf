export * from "./actor.ts";
export * from "./problem.ts";
export { type AppRouter, appRouter, createCaller } from "./router.ts";
export type { Services, WatchKind } from "./services.ts";
export * from "./shapes.ts";
export type { ApiContext, ProcedureMeta, RestMeta } from "./trpc.ts";
