export * from "./engine.ts";
export * from "./machine.ts";
export * from "./probe.ts";
export * from "./probes/index.ts";
export * from "./service.ts";
