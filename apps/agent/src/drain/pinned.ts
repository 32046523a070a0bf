import type { PinnedConnection } from "@trigon/model";
import type { IpvsConnection } from "@trigon/reconciler";

/** When an entry was last seen to carry a packet: its timer goes down between packets, and up with each. */
interface Seen {
  expiresAt: number;
  activeAt: number;
}
export type SeenConnections = ReadonlyMap<string, Seen>;

/** An established TCP connection without a packet for so long is idle, in milliseconds. */
const longIdleMs = 60_000;
/** The kernel's timers are whole seconds, and a packet sets them to the same end again. */
const slackMs = 2_000;
/** Enough to find out who they are. */
export const pinnedMost = 20;

/**
 * What holds a drain up, longest idle first: UDP entries, which every packet keeps alive on their real server, and long idle TCP connections,
 * which nobody will end soon. `seen` is what the last look answered. Pure.
 */
export function pinnedOf(
  connections: readonly IpvsConnection[],
  seen: SeenConnections,
  nowMs: number,
): { pinned: PinnedConnection[]; seen: SeenConnections } {
  const next = new Map<string, Seen>();
  const pinned: PinnedConnection[] = [];
  for (const { protocol, client, clientPort, destination, state, expiresInSeconds } of connections) {
    const name = `${destination} ${client} ${clientPort}`;
    const expiresAt = nowMs + 1000 * expiresInSeconds;
    const before = seen.get(name);
    const activeAt = before && expiresAt <= before.expiresAt + slackMs ? before.activeAt : nowMs;
    next.set(name, { expiresAt, activeAt });
    const idleSeconds = Math.round((nowMs - activeAt) / 1000);
    const isIdle = protocol === "tcp" && state === "ESTABLISHED" && nowMs - activeAt >= longIdleMs;
    if (protocol === "udp" || isIdle) pinned.push({ protocol, client, clientPort, idleSeconds, expiresInSeconds });
  }
  return { pinned: pinned.toSorted((a, b) => b.idleSeconds - a.idleSeconds).slice(0, pinnedMost), seen: next };
}
