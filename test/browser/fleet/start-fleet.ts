import { until } from "@trigon/lab";
import type { NodeView } from "@trigon/model";
import { prepare } from "../../../infra/appliance.mjs";
import { enroll, startWorld } from "../../../infra/demo/world.ts";
import { handOver } from "../appliance.ts";

const nodes = [
  ["dir1", "director"],
  ["rs1", "realServer"],
  ["rs2", "realServer"],
] as const;

/** Starts the appliance with its console and the lab, enrolls three nodes, and stops it all after the last test. */
export default async function start(): Promise<() => Promise<void>> {
  await prepare();
  const world = await startWorld({ name: `browser-${process.pid}` });
  try {
    for (const [host, role] of nodes) await enroll(world, host, role);
    const connected = async () => {
      const { data } = await world.api.call<{ data: NodeView[] }>("GET", "/nodes");
      return data.filter(({ isConnected }) => isConnected).length === nodes.length;
    };
    await until("every node to be connected", connected, { deadlineMs: 60_000, everyMs: 100 });
  } catch (error) {
    await world.stop();
    throw error;
  }
  const { appliance, lab } = world;
  const { consoleUrl, apiUrl, agentUrl, databaseUrl, caFile } = appliance;
  const admin = { username: appliance.admin.username, password: appliance.admin.password! };
  handOver({ consoleUrl, apiUrl, agentUrl, databaseUrl, caFile, admin, labState: lab.state });
  return () => world.stop();
}
