import type { DirectorGroupFragment, DirectorGroupSpec, GroupReport, GroupRole } from "@trigon/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestFleet, factsOf, specOf, type TestAgent, type TestFleet } from "./testing/fleet.ts";

let fleet: TestFleet;
let first: TestAgent;
let second: TestAgent;
let server: TestAgent;
let east: string;
let west: string;
beforeAll(async () => {
  fleet = await createTestFleet();
  first = await fleet.enroll("director", factsOf("lb-1", "192.0.2.2"));
  second = await fleet.enroll("director", factsOf("lb-2", "192.0.2.3"));
  server = await fleet.enroll("realServer", factsOf("rs-1", "192.0.2.11"));
  east = (await fleet.caller.directorGroup.list({})).data[0]!.id;
});
afterAll(() => fleet.close());

const group = (id: string) => fleet.caller.directorGroup.get({ id });
const membersOf = (...agents: TestAgent[]) => agents.map(({ nodeId }, at) => ({ nodeId, priority: 200 - 10 * at }));
async function put(id: string, change: Partial<Omit<DirectorGroupSpec, "vrrp">> & { vrrp?: Partial<DirectorGroupSpec["vrrp"]> }) {
  const { id: _id, revision: _revision, members: _members, status: _status, vrrp, ...spec } = await group(id);
  return fleet.caller.directorGroup.replace({
    id,
    revision: "*",
    spec: { ...spec, ...change, vrrp: { ...vrrp, ...change.vrrp } },
  });
}
const roles = new Map<string, GroupRole>();
/** What an agent says of all its groups. */
async function say(agent: TestAgent) {
  await agent.fetch();
  const at = new Date().toISOString();
  const groups = [...agent.fragments.values()]
    .filter(({ kind }) => kind === "director.group")
    .map(({ id }): GroupReport => {
      const role = roles.get(`${agent.nodeId} ${id}`) ?? "backup";
      const groupId = id.slice(3);
      const one = { groupId, role, since: at, transitions: [{ role, at }], syncDaemons: [], isReady: true };
      return { ...one, preferredGeneration: null, findings: [] };
    });
  await agent.report({ groups });
}
const rounds = async () => {
  for (let round = 0; round < 4; round++) for (const agent of [first, second, server]) await say(agent);
};
const fragmentOf = (agent: TestAgent, id: string) =>
  agent.fragments.get(`dg:${id}`) as unknown as DirectorGroupFragment | undefined;
const vipsOn = (agent: TestAgent) => [...agent.fragments.keys()].filter((id) => id.startsWith("dv:")).toSorted();

test("two directors are members of two groups, each of which has its own VIPs, number and order", async () => {
  west = (await fleet.caller.directorGroup.create({ spec: { name: "west" } })).id;
  await put(east, { mode: "vrrp", vrrp: { members: membersOf(first, second) } });
  await put(west, { mode: "vrrp", vrrp: { members: membersOf(second, first) } });
  await fleet.caller.virtualService.create({ spec: specOf({ directorGroupId: east }) });
  await fleet.caller.virtualService.create({ spec: specOf({ name: "west", vip: "192.0.2.101", directorGroupId: west }) });
  roles.set(`${first.nodeId} dg:${east}`, "master").set(`${second.nodeId} dg:${west}`, "master");
  await rounds();
  for (const agent of [first, second]) expect(vipsOn(agent)).toEqual(["dv:192.0.2.100", "dv:192.0.2.101"]);
  for (const [id, vip, leader, other] of [
    [east, "192.0.2.100", first, second],
    [west, "192.0.2.101", second, first],
  ] as const) {
    expect(fragmentOf(leader, id)).toMatchObject({
      vips: [vip],
      priority: 200,
      others: [{ nodeId: other.nodeId, priority: 190 }],
    });
    expect(fragmentOf(other, id)).toMatchObject({ vips: [vip], priority: 190 });
    expect(await group(id)).toMatchObject({ status: { phase: "paired", holderNodeId: leader.nodeId, findings: [] } });
    expect((await group(id)).members.map(({ nodeId, isActive }) => [nodeId, isActive])).toEqual([
      [leader.nodeId, true],
      [other.nodeId, false],
    ]);
  }
  const numbers = await fleet.database.sql(
    `SELECT count(DISTINCT "virtualRouterId")::int AS n FROM "directorGroup" WHERE mode = 'vrrp'`,
  );
  expect(numbers).toEqual([{ n: 2 }]);
  for (const { nodeId } of [first, second])
    expect(await fleet.caller.node.get({ id: nodeId })).toMatchObject({ isActiveDirector: true });
  const topology = await fleet.caller.topology.get({});
  expect(topology.directors.map(({ nodeId }) => nodeId).toSorted()).toEqual([first.nodeId, second.nodeId].toSorted());
});

test("each group moves by itself, and a director that gives VIPs away before an upgrade gives away those of all its groups", async () => {
  expect(await fleet.caller.directorGroup.move({ id: west })).toMatchObject({ to: { name: "lb-1" }, state: "moving" });
  roles.set(`${first.nodeId} dg:${west}`, "master").set(`${second.nodeId} dg:${west}`, "backup");
  await rounds();
  await expect
    .poll(async () => (await fleet.caller.directorGroup.moves({ id: west })).data[0]?.state, { timeout: 8_000 })
    .toBe("done");
  expect((await group(east)).status.holderNodeId).toBe(first.nodeId);
  const upgrade = await fleet.caller.node.upgrade({ id: first.nodeId });
  expect(upgrade.movedGroupIds.toSorted()).toEqual([east, west].toSorted());
});

test("full NAT in one group keeps the other's DR connections out of the tracking of the directors that they share", async () => {
  const tracked = (agent: TestAgent) =>
    [...agent.fragments.values()].flatMap((one) =>
      one.kind === "director.service" ? [(one as unknown as { notrack: boolean }).notrack] : [],
    );
  expect(tracked(first)).toEqual([false, false]);
  const spec = specOf({ name: "nat", vip: "192.0.2.102", forwarding: "fullnat", directorGroupId: west });
  const { id } = await fleet.caller.virtualService.create({ spec });
  await rounds();
  expect(tracked(first).toSorted()).toEqual([false, true, true]);
  await fleet.caller.virtualService.delete({ id, revision: "*" });
  await rounds();
  expect(tracked(first)).toEqual([false, false]);
});

test("directors speak on one interface in all their groups, and a guest leaves a group as it came", async () => {
  await put(east, { vrrp: { interface: "eth0" } });
  const facts = {
    ...first.facts,
    interfaces: [...first.facts.interfaces, { ...first.facts.interfaces[1]!, name: "eth1", addresses: [] }],
  };
  for (const agent of [first, second]) await agent.report({ facts: { ...facts, hostname: agent.facts.hostname } });
  await expect(put(west, { vrrp: { interface: "eth1" } })).rejects.toMatchObject({
    cause: { fields: [{ code: "vrrp.otherInterface" }, { code: "vrrp.otherInterface" }] },
  });
  await put(west, { vrrp: { members: membersOf(first) } });
  await rounds();
  expect(fragmentOf(second, west)).toBeUndefined();
  expect(vipsOn(second)).toEqual(["dv:192.0.2.100"]);
  expect((await group(west)).members.map(({ nodeId }) => nodeId)).toEqual([first.nodeId]);
});
