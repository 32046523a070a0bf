import { agentProtocol, type PlanEnvelope, type RawFragment } from "@trigon/model";
import { isOlder, type PlanPosition, type PlanStep } from "./state/plan-cache.ts";

/** What a node knows when a plan arrives. `fleetId` and `nodeId` are the enrolled identity's, null on a node that was never enrolled. */
export interface PlanContext {
  fleetId: string | null;
  nodeId: string | null;
  position: PlanPosition | null;
  fragments: ReadonlyMap<string, RawFragment>;
  maxRemovalShare: number;
  /** The generation that cut this node off and was put back; null or left out: none. */
  takenBack?: number | null;
}

export type RefusalReason =
  | "protocol.unsupported"
  | "fleet.foreign"
  | "node.foreign"
  | "plan.older"
  | "plan.takenBack"
  | "plan.massRemoval"
  | "fleet.observeOnly";

/** `gap`: the plan builds on a generation that this node does not have, so it must ask for the whole. */
export type Verdict =
  | { verdict: "accept"; step: PlanStep }
  | { verdict: "refuse"; reason: RefusalReason; message: string }
  | { verdict: "gap" };

const refuse = (reason: RefusalReason, message: string): Verdict => ({ verdict: "refuse", reason, message });

const isService = (kind: string) => kind === "director.service" || kind === "realServer.serve";

/**
 * Whether a plan may replace what this node holds. Pure; the cost is that of the plan, not of all the node has, unless the plan is whole.
 * Nothing is ever removed because a controller forgot: an older, foreign or nearly empty plan is refused.
 */
export function judgePlan(plan: PlanEnvelope, context: PlanContext): Verdict {
  const { fragments } = context;
  // Generations of another fleet (or of plans applied by hand before enrollment) say nothing about this one's.
  const position = context.position?.fleetId === plan.fleetId ? context.position : null;
  if (plan.protocol !== agentProtocol)
    return refuse("protocol.unsupported", `The plan speaks protocol ${plan.protocol}, this agent ${agentProtocol}`);
  const fleetId = context.fleetId ?? context.position?.fleetId ?? null;
  if (fleetId !== null && plan.fleetId !== fleetId)
    return refuse("fleet.foreign", `The plan is of fleet ${plan.fleetId}, this node belongs to ${fleetId}`);
  const nodeId = context.nodeId ?? context.position?.nodeId ?? null;
  if (nodeId !== null && plan.nodeId !== nodeId)
    return refuse("node.foreign", `The plan is for node ${plan.nodeId}, this node is ${nodeId}`);
  if (position && isOlder(plan, position))
    return refuse(
      "plan.older",
      `The plan is generation ${plan.generation} of epoch ${plan.epoch}, this node has ${position.generation} of ${position.epoch}`,
    );
  const { takenBack = null } = context;
  if (takenBack !== null && !plan.insists && plan.epoch === position?.epoch && plan.generation <= takenBack)
    return refuse("plan.takenBack", `Generation ${takenBack} cut this node off and was put back: it waits for a newer one`);
  if (plan.observeOnly) return refuse("fleet.observeOnly", "The fleet is in observe-only mode until an operator confirms it");
  const whole = plan.since === null;
  if (!whole && (!position || plan.since! > position.generation || plan.epoch !== position.epoch)) return { verdict: "gap" };

  const changed = plan.fragments.filter((fragment) => fragments.get(fragment.id)?.hash !== fragment.hash);
  const kept = whole ? new Set(plan.fragments.map(({ id }) => id)) : null;
  const tombstones = kept
    ? [...fragments.keys()].filter((id) => !kept.has(id))
    : plan.tombstones.filter((id) => fragments.has(id));

  const letGo = new Set(plan.released);
  const released = tombstones.filter((id) => letGo.has(id));
  const removed = tombstones.filter((id) => isService(fragments.get(id)!.kind)).length;
  if (removed > 1 && !plan.allowMassRemoval) {
    let services = 0;
    for (const { kind } of fragments.values()) if (isService(kind)) services++;
    if (services > 3 && removed > services * context.maxRemovalShare)
      return refuse(
        "plan.massRemoval",
        `The plan would remove ${removed} of this node's ${services} services without the mark for it`,
      );
  }
  return {
    verdict: "accept",
    step: {
      fleetId: plan.fleetId,
      epoch: plan.epoch,
      generation: plan.generation,
      nodeId: plan.nodeId,
      fragments: changed,
      tombstones,
      ...(released.length > 0 ? { released } : {}),
    },
  };
}
