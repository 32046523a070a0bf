import { startLoad, until } from "@trigon/lab";
import type { NodeUpgradeView, NodeView } from "@trigon/model";
import { expect, test } from "vitest";
import { demoServices } from "../../infra/demo/services.ts";
import { createService } from "../../infra/demo/world.ts";
import { pairOf, peerOf } from "./pair-of.ts";
import { useWorld } from "./use-world.ts";

const world = useWorld();
const vip = "10.2.0.100";
const { put, becomes, ready, holders } = pairOf(world);
const host = (name: string) => world.lab.host(name);

const nodeId = async (name: string) =>
  (await world.api.call<{ data: NodeView[] }>("GET", "/nodes")).data.find((node) => node.name === name)!.id;
/** Which file the program is, and which process runs it: others with each installation. */
const programOf = (name: string) => host(name).sh("stat -c %i:%Z /opt/trigon/lib/agent.cjs");
const agentOf = (name: string) => host(name).readFile("/run/units/trigon-agent.service.pid");
/** Established connections in the kernel's table there, whoever told it of them. */
const known = async (name: string) => Number(await host(name).sh("grep -c ESTABLISHED /proc/net/ip_vs_conn || :"));

async function upgrade(name: string): Promise<NodeUpgradeView> {
  const id = await nodeId(name);
  const [program, agent] = [await programOf(name), await agentOf(name)];
  const { id: upgradeId } = await world.api.call<NodeUpgradeView>("POST", `/nodes/${id}/upgrade`, {});
  let last: NodeUpgradeView | undefined;
  const ended = async () => {
    const { data } = await world.api.call<{ data: NodeUpgradeView[] }>("GET", `/nodes/${id}/upgrades`);
    last = data.find((one) => one.id === upgradeId);
    return last?.endedAt !== null;
  };
  await until(`the upgrade of ${name} to end`, ended, { deadlineMs: 240_000, everyMs: 250 });
  expect(last).toMatchObject({ state: "done", reason: "", message: "" });
  expect(await programOf(name)).not.toBe(program);
  expect(await agentOf(name)).not.toBe(agent);
  return last!;
}

test("both directors of a pair are upgraded from the controller, one after the other, and no connection is lost", {
  timeout: 900_000,
}, async () => {
  await createService(world.api, demoServices.find(({ forwarding }) => forwarding === "dr")!);
  await until("the VIP to be bound", async () => (await holders(vip)).length === 1, { deadlineMs: 60_000 });
  await put({ mode: "vrrp" });
  await ready();
  const first = (await holders(vip)).join();
  const second = peerOf(first);
  const load = await startLoad(host("client"), { targets: [`${vip}:80`], rate: 10, held: 8 });
  await until("held connections to be known to the peer", async () => (await known(second)) >= 8, { deadlineMs: 30_000 });

  expect((await upgrade(first)).movedGroupIds).toHaveLength(1);
  expect(await holders(vip)).toEqual([second]);
  await ready();
  await until("held connections to be known to it", async () => (await known(first)) >= 8, { deadlineMs: 30_000 });
  await upgrade(second);
  expect(await holders(vip)).toEqual([first]);

  // A real server has nothing to give away.
  expect((await upgrade("rs1")).movedGroupIds).toEqual([]);

  const { ok, failed, heldFailed } = await load.stop();
  console.log(`upgraded under load: ${ok} connections, ${failed} failed, ${heldFailed} held ones lost`);
  expect({ failed, heldFailed }).toEqual({ failed: 0, heldFailed: 0 });
  expect(ok).toBeGreaterThan(100);
  await put({ mode: "single" });
  await becomes("single");
});

test("a policy on the machine forbids it, and the program stays", async () => {
  const id = await nodeId("rs2");
  const before = [await programOf("rs2"), await agentOf("rs2")];
  await host("rs2").sh("mkdir -p /etc/trigon && echo 'remoteUpgrade: false' > /etc/trigon/policy.yaml");
  try {
    await world.api.call("POST", `/nodes/${id}/upgrade`, {});
    const last = async () => (await world.api.call<{ data: NodeUpgradeView[] }>("GET", `/nodes/${id}/upgrades`)).data[0]!;
    await until("the upgrade to end", async () => (await last()).endedAt !== null, { deadlineMs: 60_000, everyMs: 250 });
    expect(await last()).toMatchObject({ state: "failed", reason: "agent.refused", message: expect.stringContaining("policy") });
    expect([await programOf("rs2"), await agentOf("rs2")]).toEqual(before);
  } finally {
    await host("rs2").sh("rm -rf /etc/trigon");
  }
});
