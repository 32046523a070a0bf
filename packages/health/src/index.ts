export * from "./engine.ts";
export * from "./machine.ts";
export * from "./probe.ts";
export * from "./probes/index.ts";
export * from "./probes/path.ts";
export { udpBytes } from "./probes/udp.ts";
export * from "./service.ts";
