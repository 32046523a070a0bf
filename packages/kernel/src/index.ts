export type { IsOurs } from "./facts.ts";
export { createKernel, type KernelOptions } from "./kernel.ts";
export { type RequiredTool, requiredTools } from "./required-tools.ts";
