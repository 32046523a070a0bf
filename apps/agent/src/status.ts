import type { FragmentState, GroupReport, HealthReport, TableRow } from "@trigon/model";
import type { HealthChecks } from "./health/checks.ts";
import type { LinkState } from "./link/controller-link.ts";
import type { Hold, NodeLoop } from "./loop.ts";
import type { PlanPosition } from "./state/plan-cache.ts";
import { tableOf } from "./table.ts";
import { agentVersion } from "./version.ts";

/** What `trigon-agent status` prints. */
export interface AgentStatus {
  version: string;
  running: boolean;
  name: string | null;
  /** Null: not enrolled, or not running. */
  controller: { state: LinkState; reason: string | null; url: string } | null;
  hold: Hold | null;
  position: PlanPosition | null;
  fragments: FragmentState[];
  /** What the running agent's checks say; left out when none runs. */
  health?: { services: HealthReport[]; endpoints: number; probes: number; p99LatenessMs: number };
  /** Its part in groups in mode `vrrp`, as reports tell it; left out when it never had one, or no agent runs. */
  groups?: readonly GroupReport[];
  /** What was changed from outside is seen after at most so long; left out when no agent runs. */
  sweepBoundMs?: number;
  table: { rows: TableRow[]; total: number };
}

export function statusOf(options: {
  loop: NodeLoop;
  health: HealthChecks;
  groups: readonly GroupReport[] | null;
  link: AgentStatus["controller"];
  name: string | null;
}): AgentStatus {
  const { loop, health, groups, link, name } = options;
  return {
    version: agentVersion,
    running: true,
    name,
    controller: link,
    hold: loop.hold,
    position: loop.position,
    fragments: [...loop.states.values()],
    health: { services: health.report(health.ids()), ...health.stats() },
    ...(groups ? { groups } : {}),
    sweepBoundMs: loop.sweepBoundMs,
    table: tableOf(loop, Number.POSITIVE_INFINITY),
  };
}
