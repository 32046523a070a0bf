import type { DirectorGroupFragment, DirectorGroupSpec, GroupReport, GroupRole } from "@trigon/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestFleet, factsOf, specOf, type TestAgent, type TestFleet } from "./testing/fleet.ts";

let fleet: TestFleet;
let first: TestAgent;
let second: TestAgent;
let groupId: string;
beforeAll(async () => {
  fleet = await createTestFleet();
  first = await fleet.enroll("director", factsOf("lb-1", "192.0.2.2"));
  second = await fleet.enroll("director", factsOf("lb-2", "192.0.2.3"));
  const server = await fleet.enroll("realServer", factsOf("rs-1", "192.0.2.11"));
  groupId = (await fleet.caller.directorGroup.list({})).data[0]!.id;
  for (let round = 0; round < 2; round++) for (const agent of [first, second, server]) await agent.turn();
});
afterAll(() => fleet.close());

const gateway = "192.0.2.254";
const group = () => fleet.caller.directorGroup.get({ id: groupId });
async function put(change: Partial<DirectorGroupSpec>) {
  const { id: _id, revision: _revision, members: _members, status: _status, ...spec } = await group();
  return fleet.caller.directorGroup.replace({ id: groupId, revision: "*", spec: { ...spec, ...change } });
}
const refusal = (call: Promise<unknown>) =>
  call.then(
    () => [],
    (error) => error.cause.fields.map(({ pointer, code }: { pointer: string; code: string }) => `${pointer} ${code}`),
  );
const held = async (agent: TestAgent) => {
  await agent.turn();
  return agent.fragments.get(`dv:${gateway}`) as unknown as { heldBy: string; ping?: boolean } | undefined;
};

test("what cannot move with the VIPs is refused field by field, and nothing is written", async () => {
  await fleet.caller.virtualService.create({ spec: specOf() });
  const other = await fleet.caller.directorGroup.create({ spec: { name: "edge", floatingAddresses: ["198.51.100.9"] } });
  const floating = (...floatingAddresses: string[]) => refusal(put({ floatingAddresses }));
  expect(await floating("192.0.2.100")).toEqual(["/floatingAddresses/0 address.isVip"]);
  expect(await floating(gateway, "192.0.2.3")).toEqual(["/floatingAddresses/1 address.isNodeAddress"]);
  expect(await floating(gateway, gateway)).toEqual(["/floatingAddresses/1 address.duplicate"]);
  expect(await floating("127.0.0.9")).toContain("/floatingAddresses/0 address.unusable");
  expect(await floating("198.51.100.9")).toEqual([
    "/floatingAddresses/0 address.otherGroup",
    "/floatingAddresses/0 address.offLink",
  ]);
  expect(await fleet.database.sql(`SELECT "floatingAddresses" FROM "directorGroup" WHERE id = $1`, [groupId])).toEqual([
    { floatingAddresses: [] },
  ]);
  await fleet.caller.directorGroup.delete({ id: other.id, revision: "*" });
});

test("the holder of the VIPs gets it, open to all; nobody when it is taken back", async () => {
  await put({ floatingAddresses: [gateway] });
  expect(await held(first)).toMatchObject({ heldBy: "agent" });
  expect(await held(first)).not.toHaveProperty("ping");
  expect(await held(second)).toBeUndefined();
  expect(await refusal(fleet.caller.virtualService.create({ spec: specOf({ name: "two", vip: gateway }) }))).toContain(
    "/vip vip.isFloating",
  );
  const { data } = await fleet.caller.change.list({});
  const change = data.find(({ objectKind }) => objectKind === "directorGroup")!;
  await fleet.caller.change.undo({ id: change.id });
  expect(await held(first)).toBeUndefined();
  await put({ floatingAddresses: [gateway] });
  expect(await held(first)).toBeDefined();
});

test("a full NAT service goes by it, and then it stays", async () => {
  const spec = specOf({ name: "snat", vip: "192.0.2.101", forwarding: "fullnat", snatSource: gateway });
  const bad = { ...spec, snatSource: "192.0.2.253" };
  expect(await refusal(fleet.caller.virtualService.create({ spec: bad }))).toEqual(["/snatSource snatSource.notFloating"]);
  const { id } = await fleet.caller.virtualService.create({ spec });
  await first.turn();
  expect(first.fragments.get(`ds:${id}`)).toMatchObject({ snatSource: gateway });
  expect(await refusal(put({ floatingAddresses: [] }))).toEqual(["/floatingAddresses address.inUse"]);
  await fleet.caller.virtualService.delete({ id, revision: "*" });
});

test("in a pair it moves with the VIPs, by VRRP", async () => {
  const say = async (agent: TestAgent, role: GroupRole) => {
    await agent.fetch();
    const at = new Date().toISOString();
    const one = { groupId, role, since: at, transitions: [{ role, at }], syncDaemons: [], isReady: true };
    await agent.report({ groups: [{ ...one, preferredGeneration: null, findings: [] } satisfies GroupReport] });
  };
  await put({ mode: "vrrp" });
  await say(first, "master");
  await expect.poll(async () => (await group()).status.phase, { timeout: 10_000 }).toBe("paired");
  for (const agent of [first, second]) {
    expect(await held(agent)).toMatchObject({ heldBy: "vrrp" });
    const fragment = agent.fragments.get(`dg:${groupId}`) as unknown as DirectorGroupFragment;
    expect(fragment.vips).toEqual(["192.0.2.100", gateway]);
    expect(fragment.addresses).toEqual([agent.facts.interfaces[1]!.addresses[0]!.address]);
  }
  expect(await group()).toMatchObject({ floatingAddresses: [gateway], status: { vips: ["192.0.2.100"] } });
});
