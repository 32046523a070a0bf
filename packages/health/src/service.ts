import type { HealthMode, HealthVerdict, PlannedHealth, ServiceHealth } from "@trigon/model";

/** A real server in a service, as health sees it. */
export interface Member {
  realServerId: string;
  verdict: HealthVerdict;
  /** When the verdict came to be: who failed first goes out first. */
  since: number;
  /** Whether it would serve if it were well: active, with a weight. Others count for nothing. */
  isCandidate: boolean;
}

export type HealthPolicy = Pick<PlannedHealth, "quorum" | "failOpen" | "maxOutAtOnce"> & { hasSorryServer: boolean };

/** What a service remembers between judgements. */
export interface ServiceMemory {
  /** Candidates that checks took out, first things first. */
  out: readonly string[];
  hasQuorum: boolean;
}
export const newService: ServiceMemory = { out: [], hasQuorum: true };

/** What the members' verdicts mean for their service. Pure. */
export function judge(
  memory: ServiceMemory,
  members: readonly Member[],
  policy: HealthPolicy,
): { memory: ServiceMemory; health: ServiceHealth } {
  const candidates = members.filter(({ isCandidate }) => isCandidate);
  const failed = candidates.filter(({ verdict }) => verdict === "down");
  const serving = candidates.length - failed.length;
  const hasQuorum = serving >= (memory.hasQuorum ? policy.quorum.down : policy.quorum.up);
  const out = goingOut(memory.out, failed, policy.maxOutAtOnce ?? Number.POSITIVE_INFINITY);
  // Who has no weight to lose may as well be known to be down.
  const others = members.filter(({ isCandidate, verdict }) => !isCandidate && verdict === "down");
  return {
    memory: { out, hasQuorum },
    health: {
      mode: modeOf(hasQuorum, failed.length > 0, policy),
      out: new Set([...out, ...others.map(({ realServerId }) => realServerId)]),
    },
  };
}

export function sameHealth(a: ServiceHealth | undefined, b: ServiceHealth | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.mode === b.mode && a.out.size === b.out.size && [...a.out].every((id) => b.out.has(id));
}

/** Who is out stays out while it fails; the rest go out in the order in which they failed, as far as the cap allows. */
function goingOut(before: readonly string[], failed: readonly Member[], most: number): string[] {
  const isFailed = new Set(failed.map(({ realServerId }) => realServerId));
  const out = before.filter((id) => isFailed.has(id)).slice(0, most);
  const waiting = failed
    .filter(({ realServerId }) => !out.includes(realServerId))
    .toSorted((a, b) => a.since - b.since || (a.realServerId < b.realServerId ? -1 : 1));
  for (const { realServerId } of waiting) if (out.length < most) out.push(realServerId);
  return out;
}

function modeOf(hasQuorum: boolean, hasFailed: boolean, { hasSorryServer, failOpen }: HealthPolicy): HealthMode {
  if (hasQuorum) return "normal";
  if (hasSorryServer) return "sorry";
  return failOpen && hasFailed ? "failOpen" : "normal";
}
