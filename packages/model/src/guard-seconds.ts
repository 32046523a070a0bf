import type { GuardKind } from "./guard.ts";

/** Seconds until an unkept change is taken back, where the write does not say. In a file of its own: every page of the console shows it, and needs no schema. */
export const guardSecondsDefault: Record<GuardKind, number> = { reachability: 60, operator: 120 };
