import type { HealthVerdict } from "@trigon/model";
import type { ProbeReason, ProbeResult } from "./probe.ts";

/** What is known of one endpoint. Times are wall-clock milliseconds, so that they outlive a restart. */
export interface EndpointState {
  verdict: HealthVerdict;
  /** When the verdict came to be. */
  since: number;
  /** Results of a kind in a row; the other one is 0. */
  passes: number;
  failures: number;
  /** Why the last probe that failed did; null after one that passed. */
  reason: ProbeReason | null;
  message: string | null;
  /** Of the last probe that passed. */
  latencyMs: number | null;
  /** One for each time it went down lately, halved every `penaltyHalfLifeMs`; as of `penaltyAt`. */
  penalty: number;
  penaltyAt: number;
}

export interface MachineParameters {
  rise: number;
  fall: number;
}

export const penaltyHalfLifeMs = 60_000;
/** A server that flaps is asked for at most so many times `rise`. */
const mostDamping = 16;

/** An endpoint that nobody asked yet serves. */
export function newEndpoint(now: number): EndpointState {
  return {
    verdict: "checking",
    since: now,
    passes: 0,
    failures: 0,
    reason: null,
    message: null,
    latencyMs: null,
    penalty: 0,
    penaltyAt: now,
  };
}

/** How many passes in a row bring it back: `rise`, doubled for each time beyond the first that it went down lately. */
export function neededPasses(state: EndpointState, { rise }: MachineParameters, now: number): number {
  const times = Math.round(penaltyNow(state, now));
  return rise * Math.min(mostDamping, 2 ** Math.max(0, times - 1));
}

/** What one probe makes of an endpoint. Pure. */
export function step(state: EndpointState, result: ProbeResult, parameters: MachineParameters, now: number): EndpointState {
  if (result.outcome === "unable") return { ...state, reason: result.reason, message: result.message };
  if (result.outcome === "pass") {
    const passed: EndpointState = {
      ...state,
      passes: state.passes + 1,
      failures: 0,
      reason: null,
      message: null,
      latencyMs: result.latencyMs,
    };
    if (state.verdict === "up") return passed;
    // One answer is enough for a server that serves already.
    const needed = state.verdict === "checking" ? 1 : neededPasses(state, parameters, now);
    return passed.passes >= needed ? { ...passed, verdict: "up", since: now } : passed;
  }
  const { reason, message } = result;
  const failed: EndpointState = { ...state, passes: 0, failures: state.failures + 1, reason, message };
  if (state.verdict === "down" || failed.failures < parameters.fall) return failed;
  return { ...failed, verdict: "down", since: now, penalty: penaltyNow(state, now) + 1, penaltyAt: now };
}

/** Whether the next probe may change the verdict, or one is still wanted: such an endpoint is asked more often. */
export function isChanging({ verdict, passes, failures }: EndpointState): boolean {
  return verdict === "checking" || (verdict === "up" ? failures > 0 : passes > 0);
}

function penaltyNow({ penalty, penaltyAt }: EndpointState, now: number): number {
  return penalty * 0.5 ** (Math.max(0, now - penaltyAt) / penaltyHalfLifeMs);
}
