export * from "./hash.ts";
export * from "./network.ts";
export { tunnelAddress, tunnelName } from "./real-server.ts";
export * from "./resolve.ts";
export * from "./resolve-error.ts";
