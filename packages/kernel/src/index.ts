export type { IsOurs } from "./facts.ts";
export { createKernel, type KernelOptions } from "./kernel.ts";
export { type MachineQuestions, readMachine } from "./machine.ts";
export { createRehearsalKernel } from "./rehearsal.ts";
export { type RequiredTool, requiredTools } from "./required-tools.ts";
