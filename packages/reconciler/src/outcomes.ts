import type { FragmentState, Resource } from "@trigon/model";
import type { Desired, PlanConflict } from "./desired.ts";
import type { ForeignConflict } from "./diff.ts";
import type { KernelFailure } from "./kernel.ts";

/** What is wrong with one key. Nothing wrong: no problem. */
export interface Problem {
  failure?: KernelFailure;
  foreign?: ForeignConflict;
  plan?: PlanConflict;
}

/** Failures that are held back on purpose and come right by themselves. */
const waitingCodes: ReadonlySet<string> = new Set(["vip.heldElsewhere", "vip.servicesDown", "dependency.failed"]);

/** What the passes so far found out, per key: kept between passes so that one pass reports on its own keys only. */
export class Outcomes {
  /** Keys that are not as they shall be, and why. */
  readonly problems = new Map<string, Problem>();
  /** The wanted value that was last seen standing in the kernel. */
  readonly verified = new Map<string, Resource>();
  /** What the kernel last held under a wanted key. */
  readonly seen = new Map<string, Resource>();

  /** The state of a fragment from its keys; the worst of them speaks. */
  stateOf(id: string, desired: Desired): FragmentState | undefined {
    const fragment = desired.fragment(id);
    if (!fragment) return undefined;
    let conflict: FragmentState | undefined;
    let waiting: FragmentState | undefined;
    for (const { key } of fragment.resources) {
      const problem = this.problems.get(key);
      if (!problem) continue;
      const state = (name: FragmentState["state"], reason: string, message: string): FragmentState => ({
        id,
        hash: fragment.hash,
        state: name,
        reason,
        message,
      });
      const { failure, foreign, plan } = problem;
      if (failure && !waitingCodes.has(failure.code)) return state("failed", failure.code, failure.message);
      if (foreign)
        conflict ??= state("conflict", "kernel.foreign", `${key} is there already, but not by Trigon and not as wanted.`);
      if (plan?.losers.includes(id)) {
        conflict ??= state("conflict", "plan.conflict", `${plan.keeper} wants ${key} otherwise, and its value stands.`);
      }
      if (failure) waiting ??= state("waiting", failure.code, failure.message);
    }
    return conflict ?? waiting ?? { id, hash: fragment.hash, state: "applied", reason: null, message: null };
  }
}

export function sameProblem(a: Problem | undefined, b: Problem | undefined): boolean {
  if (!a || !b) return a === b;
  return (
    a.failure?.code === b.failure?.code &&
    a.failure?.message === b.failure?.message &&
    (a.foreign === undefined) === (b.foreign === undefined) &&
    a.plan?.keeper === b.plan?.keeper &&
    a.plan?.losers.join() === b.plan?.losers.join()
  );
}
