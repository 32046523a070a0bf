import type { AgentCounters, Counters } from "@trigon/model";

/** What moved: counts, and the time of which nobody knows. */
export interface Traffic {
  connections: number;
  inPackets: number;
  outPackets: number;
  inBytes: number;
  outBytes: number;
  replyPackets: number;
  replyBytes: number;
  /** Of directors: the time that was counted. */
  coveredMs: number;
  missingMs: number;
}

export const trafficFields = [
  "connections",
  "inPackets",
  "outPackets",
  "inBytes",
  "outBytes",
  "replyPackets",
  "replyBytes",
  "coveredMs",
  "missingMs",
] as const satisfies readonly (keyof Traffic)[];

export const noTraffic: Readonly<Traffic> = {
  connections: 0,
  inPackets: 0,
  outPackets: 0,
  inBytes: 0,
  outBytes: 0,
  replyPackets: 0,
  replyBytes: 0,
  coveredMs: 0,
  missingMs: 0,
};

export function addTraffic(a: Readonly<Traffic>, b: Readonly<Traffic>): Traffic {
  return Object.fromEntries(trafficFields.map((field) => [field, a[field] + b[field]])) as unknown as Traffic;
}

/** A node's counters as this replica heard them. `steadyMs` never steps, `wallMs` is the time of day. */
export interface Heard {
  counters: Pick<AgentCounters, "bootId" | "services" | "replies">;
  steadyMs: number;
  wallMs: number;
}

/** Between samples further apart nobody knows when it was that traffic moved. A busy node counts every quarter of a minute. */
const farthestMs = 45_000;
/** The clock was set if both clocks disagree by more. */
const steppedMs = 2_000;

const counterFields = [
  "connections",
  "inPackets",
  "outPackets",
  "inBytes",
  "outBytes",
] as const satisfies readonly (keyof Counters)[];

/**
 * What moved between two samples of a node, by service, and as `director` what it counted altogether; undefined when that cannot be said. A
 * counter that went back or is new was made anew: its service misses that time.
 */
export function trafficBetween(
  before: Heard,
  now: Heard,
): { fromMs: number; untilMs: number; services: Map<string, Traffic>; director: Traffic | null } | undefined {
  // A steady clock tells fractions; what is stored is whole.
  const elapsedMs = Math.round(now.steadyMs - before.steadyMs);
  if (elapsedMs <= 0 || elapsedMs > farthestMs) return undefined;
  if (Math.abs(now.wallMs - before.wallMs - elapsedMs) > steppedMs) return undefined;
  if (now.counters.bootId !== before.counters.bootId) return undefined;
  const services = new Map<string, Traffic>();
  const oldServices = new Map(before.counters.services.map(({ serviceId, counters }) => [serviceId, counters]));
  let director: Traffic | null = null;
  for (const { serviceId, counters } of now.counters.services) {
    const old = oldServices.get(serviceId);
    director ??= { ...noTraffic, coveredMs: elapsedMs };
    if (!old || counterFields.some((field) => counters[field] < old[field])) {
      services.set(serviceId, { ...noTraffic, missingMs: elapsedMs });
      continue;
    }
    const moved = { ...noTraffic };
    for (const field of counterFields) moved[field] = counters[field] - old[field];
    director = addTraffic(director, moved);
    if (counterFields.some((field) => moved[field] > 0)) services.set(serviceId, moved);
  }
  const oldReplies = new Map(before.counters.replies.map((reply) => [reply.serviceId, reply]));
  for (const { serviceId, packets, bytes } of now.counters.replies) {
    const old = oldReplies.get(serviceId);
    if (!old || packets < old.packets || bytes < old.bytes || bytes === old.bytes) continue;
    const moved = { ...noTraffic, replyPackets: packets - old.packets, replyBytes: bytes - old.bytes };
    services.set(serviceId, addTraffic(services.get(serviceId) ?? noTraffic, moved));
  }
  return { fromMs: now.wallMs - elapsedMs, untilMs: now.wallMs, services, director };
}

/** The slots that a time span touches, each with its part of what moved. The parts of a count add up to it exactly. */
export function spread(traffic: Readonly<Traffic>, fromMs: number, untilMs: number, stepMs: number): Map<number, Traffic> {
  const parts = new Map<number, Traffic>();
  let before = noTraffic;
  for (let slot = Math.floor(fromMs / stepMs) * stepMs; slot < untilMs; slot += stepMs) {
    const share = (Math.min(untilMs, slot + stepMs) - fromMs) / (untilMs - fromMs);
    const through = Object.fromEntries(
      trafficFields.map((field) => [field, share === 1 ? traffic[field] : Math.floor(traffic[field] * share)]),
    ) as unknown as Traffic;
    const part = Object.fromEntries(trafficFields.map((field) => [field, through[field] - before[field]])) as unknown as Traffic;
    parts.set(slot, part);
    before = through;
  }
  return parts;
}
