export type { IsOurs } from "./facts.ts";
export { createKernel, type KernelOptions } from "./kernel.ts";
export { type MachineQuestions, readMachine } from "./machine.ts";
export { type ListeningSockets, listenerOf, listeningSockets, type PathEnd, type PathPlace, readPathEnds } from "./path-ends.ts";
export { openPathPort, openVipCheckPort, type PathDestination, type PathPort, type VipCheckPort } from "./path-port.ts";
export { createRehearsalKernel } from "./rehearsal.ts";
export { type RequiredTool, requiredTools } from "./required-tools.ts";
export { isCutOffFrom } from "./way-out.ts";
