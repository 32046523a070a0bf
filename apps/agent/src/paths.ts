import { join } from "node:path";

/** Where the agent keeps things. Every one can be moved, for tests and for several labs on one machine. */
export interface AgentPaths {
  state: string;
  policy: string;
  journal: string;
  health: string;
  lock: string;
  socket: string;
}

export function agentPaths(state = process.env.TRIGON_STATE ?? "/var/lib/trigon"): AgentPaths {
  return {
    state,
    policy: process.env.TRIGON_POLICY ?? "/etc/trigon/policy.yaml",
    journal: join(state, "journal.log"),
    health: join(state, "health.json"),
    lock: join(state, "agent.lock"),
    socket: join(state, "agent.sock"),
  };
}
