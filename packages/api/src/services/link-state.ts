import type { AdminState, GateView, LinkReason, LinkState, PathView, RealServerHealth, SyncSummary } from "@trigon/model";

/** What is known about one real server in one service. */
export interface LinkFacts {
  isServiceEnabled: boolean;
  director: { name: string; isConnected: boolean } | null;
  adminState: AdminState;
  /** As the kernel has it; as it was asked for, where nobody said. */
  weight: number;
  gate: Pick<GateView, "state" | "reason"> | undefined;
  /** An open gate may still have kept an older front end: only `true` says that the director sends there. */
  isAdmitted: boolean;
  health: Pick<RealServerHealth, "isOut" | "message"> | undefined;
  path: Pick<PathView, "state" | "message"> | undefined;
  /** The parts of the director and of the real server's own node in the service. */
  parts: readonly SyncSummary[];
}

interface LinkVerdict {
  state: LinkState;
  reason: LinkReason | null;
  message: string | null;
}

/** Whether connections go this way, and if not, the one reason that explains it best. Pure. */
export function linkState(facts: LinkFacts): LinkVerdict {
  const { director, gate, health, path } = facts;
  const verdict = (state: LinkState, reason: LinkReason, message: string): LinkVerdict => ({ state, reason, message });
  if (!facts.isServiceEnabled) return verdict("idle", "service.disabled", "The service is switched off.");
  if (!director) return verdict("broken", "director.none", "No director holds the VIP.");
  if (facts.adminState === "disabled") return verdict("idle", "adminState.disabled", "It was taken out.");
  if (facts.adminState === "maintenance") return verdict("idle", "adminState.maintenance", "It is in maintenance.");
  const failed = facts.parts.find(({ state }) => state === "failed");
  if (failed) return verdict("broken", "sync.failed", failed.message);
  const conflict = facts.parts.find(({ state }) => state === "conflict");
  if (conflict) return verdict("broken", "sync.conflict", conflict.message);
  if (!facts.isAdmitted) {
    if (!gate) return verdict("broken", "gate.none", "It was not looked at yet.");
    return verdict("broken", "gate.waiting", gate.reason ?? "It has not proved yet that it can serve the VIP.");
  }
  if (health?.isOut) return verdict("broken", "health.out", health.message ?? "Its health check fails.");
  if (path?.state === "failed") return verdict("broken", "path.failed", path.message ?? "The way to it does not work.");
  if (!director.isConnected) return verdict("unknown", "director.disconnected", `${director.name} is not connected.`);
  if (facts.adminState === "draining") return verdict("idle", "adminState.draining", "It is being drained: no new connections.");
  if (facts.weight === 0) return verdict("idle", "weight.zero", "Its weight is 0: no new connections.");
  return { state: "serving", reason: null, message: null };
}
