import type { FragmentState } from "@trigon/model";
import type { Acceptance, NodeLoop } from "./loop.ts";

/** What `trigon-agent apply` prints. */
export interface ApplyResult {
  accepted: boolean;
  /** Why not, when it was not. */
  reason: string | null;
  message: string | null;
  generation: number;
  fragments: FragmentState[];
}

export function applyResult(acceptance: Acceptance, loop: NodeLoop): ApplyResult {
  const generation = loop.position?.generation ?? 0;
  const fragments = [...loop.states.values()];
  switch (acceptance.verdict) {
    case "accept":
      return { accepted: true, reason: null, message: null, generation, fragments };
    case "refuse":
      return { accepted: false, reason: acceptance.reason, message: acceptance.message, generation, fragments };
    case "held":
      return { accepted: false, reason: acceptance.hold.reason, message: acceptance.hold.message, generation, fragments };
    case "gap":
      return {
        accepted: false,
        reason: "plan.gap",
        message: "The plan is a difference from a generation that this node does not have",
        generation,
        fragments,
      };
  }
}

/** Whether all that the plan asks for stands in the kernel. */
export function isReached(result: ApplyResult): boolean {
  return result.accepted && result.fragments.every(({ state }) => state === "applied");
}
