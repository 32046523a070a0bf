import { type LabHost, until } from "@trigon/lab";
import type { ArrivalReport, PathReport } from "@trigon/model";
import { agentStatus } from "../agent.ts";

/** What a running agent says of paths. */
export async function pathsOf(host: LabHost): Promise<{ paths?: PathReport[]; arrivals?: ArrivalReport[] }> {
  return JSON.parse(await host.sh("curl -s -X POST --unix-socket /var/lib/trigon/agent.sock http://agent/paths"));
}

/** An agent whose policy cannot be read changes nothing, and goes on telling what it sees. `undo` gets what lets it change things again. */
export async function holdAgent(host: LabHost, pid: number, undo: (() => Promise<unknown>)[]): Promise<void> {
  await host.sh(`mkdir -p /etc/trigon && echo '{' >/etc/trigon/policy.yaml && kill -HUP ${pid}`);
  undo.push(() => host.sh(`rm /etc/trigon/policy.yaml && kill -HUP ${pid}`));
  await until(`the agent on ${host.name} to hold`, async () => (await agentStatus(host))?.hold != null);
}
