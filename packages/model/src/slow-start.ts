import type { Scheduler } from "./vocabulary.ts";

/** Schedulers that share new connections by weight and can take another weight at any time without moving clients. */
const weighing: ReadonlySet<Scheduler> = new Set(["wrr", "wlc", "lblc", "lblcr", "sed", "nq"]);
export const canSlowStart = (scheduler: Scheduler): boolean => weighing.has(scheduler);

/** A ramp is this many weights, the last of them the full one. */
export const slowStartSteps = 10;

/**
 * The weight of a real server that came back `elapsedMs` ago: a tenth of its own at once, one more with each tenth of the time, at least 1.
 * `nextMs`: when the next step is due, counted from the return; null: it has its full weight.
 */
export function slowStartWeight(
  weight: number,
  elapsedMs: number,
  slowStartSeconds: number,
): { weight: number; nextMs: number | null } {
  const stepMs = (slowStartSeconds * 1000) / slowStartSteps;
  const step = Math.floor(Math.max(0, elapsedMs) / stepMs) + 1;
  if (!(stepMs > 0) || step >= slowStartSteps || weight <= 1) return { weight, nextMs: null };
  return { weight: Math.max(1, Math.round((weight * step) / slowStartSteps)), nextMs: step * stepMs };
}
