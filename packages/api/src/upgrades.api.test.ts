import type { AgentUpgrade, GroupReport, GroupRole } from "@trigon/model";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { createTestFleet, factsOf, specOf, type TestAgent, type TestFleet } from "./testing/fleet.ts";

let fleet: TestFleet;
let replica: TestFleet;
let first: TestAgent;
let second: TestAgent;
let server: TestAgent;
let groupId: string;
beforeAll(async () => {
  fleet = await createTestFleet();
  replica = await fleet.replica();
  first = await fleet.enroll("director", factsOf("lb-1", "192.0.2.2"));
  second = await fleet.enroll("director", factsOf("lb-2", "192.0.2.3"));
  server = await fleet.enroll("realServer", factsOf("rs-1", "192.0.2.11"));
  groupId = (await fleet.caller.directorGroup.list({})).data[0]!.id;
  await fleet.caller.virtualService.create({ spec: specOf() });
  for (let round = 0; round < 3; round++) for (const agent of [first, second, server]) await agent.turn();
});
afterAll(async () => {
  await replica.close();
  await fleet.close();
});
/** No upgrade of one test stays for the next. */
afterEach(async () => {
  await fleet.database.sql(`DELETE FROM "nodeUpgrade"`);
  for (const one of [fleet, replica]) one.asked.length = 0;
});

/** The agents' side: answers every question that any replica passes on, once, as `says` has it for the upgrade of that id. */
function answering(says: (id: string) => Partial<AgentUpgrade> | { problem: string }) {
  const ids: string[] = [];
  const timer = setInterval(() => {
    for (const { nodeId, id, question } of fleet.asked.splice(0)) {
      const upgrade = (question as { id: string }).id;
      ids.push(upgrade);
      const said = says(upgrade);
      const common = { id: upgrade, state: "running", startedAt: new Date().toISOString(), exitCode: null, output: "" };
      const body = "problem" in said ? said : { answer: { ...common, ...said } };
      void fleet.api.agents.answered(nodeId, { protocol: 1, id, ...body });
    }
  }, 20);
  return { ids, stop: () => clearInterval(timer) };
}
const rows = () =>
  fleet.database.sql(
    `SELECT "nodeId", state, reason, message, "fromVersion", "toVersion", "startedBy", "groupIds" FROM "nodeUpgrade" ORDER BY "startedAt"`,
  );
const audits = async (nodeId: string) =>
  (
    await fleet.database.sql(`SELECT event FROM "auditEvent" WHERE "objectId" = $1 AND event LIKE 'node.upgrade%' ORDER BY at`, [
      nodeId,
    ])
  ).map(({ event }) => event);
const until = (what: () => Promise<unknown>, wanted: unknown) => expect.poll(what, { timeout: 10_000 }).toEqual(wanted);
const stateNow = async () => (await rows())[0]?.state;
const problemOf = (call: Promise<unknown>) => call.then(() => null).catch(({ cause }) => [cause.code, cause.fields[0]?.code]);

/** What a member tells of its part. */
async function say(agent: TestAgent, role: GroupRole, more: Partial<GroupReport> = {}) {
  await agent.fetch();
  const at = new Date().toISOString();
  const one = { groupId, role, since: at, transitions: [{ role, at }], syncDaemons: [], isReady: true };
  await agent.report({ groups: [{ ...one, preferredGeneration: null, findings: [], ...more }] });
}

test("a real server's program is brought to another version, and what became of it is kept", async () => {
  let installer: Partial<AgentUpgrade> = { state: "running" };
  const agent = answering(() => installer);
  try {
    const started = await fleet.caller.node.upgrade({ id: server.nodeId });
    expect(started).toMatchObject({ state: "moving", startedBy: "ada", fromVersion: "1.0.0", movedGroupIds: [], endedAt: null });
    expect((await replica.caller.node.upgrade({ id: server.nodeId })).id).toBe(started.id);
    await until(async () => agent.ids.length > 1, true); // asked again, and by two replicas, it is the same upgrade
    expect(new Set(agent.ids)).toEqual(new Set([started.id]));
    expect(await stateNow()).toBe("installing");
    // The new agent has not taken up its plan yet.
    await fleet.caller.virtualService.create({ spec: specOf({ name: "late", port: 81 }) });
    installer = { state: "done", exitCode: 0 };
    await until(stateNow, "settling");
    await server.fetch();
    await server.report({ agentVersion: "2.0.0" });
    await until(stateNow, "done");
  } finally {
    agent.stop();
  }
  expect(await rows()).toMatchObject([{ nodeId: server.nodeId, reason: "", fromVersion: "1.0.0", toVersion: "2.0.0" }]);
  expect(await audits(server.nodeId)).toEqual(["node.upgradeAsked", "node.upgraded"]);
  expect((await fleet.caller.node.upgrades({ id: server.nodeId })).data).toMatchObject([{ state: "done", toVersion: "2.0.0" }]);
});

test("an installer that fails, and a node that refuses, end it with their own words", async () => {
  const failing = answering(() => ({ state: "failed", exitCode: 31, output: "agent.tgz is not the file" }));
  await fleet.caller.node.upgrade({ id: server.nodeId });
  await until(stateNow, "failed");
  failing.stop();
  expect(await rows()).toMatchObject([{ reason: "installer.failed", message: "agent.tgz is not the file" }]);
  await fleet.database.sql(`DELETE FROM "nodeUpgrade"`);
  const refusing = answering(() => ({ problem: "This node's policy allows no upgrade from afar" }));
  await fleet.caller.node.upgrade({ id: server.nodeId });
  await until(stateNow, "failed");
  refusing.stop();
  expect(await rows()).toMatchObject([{ reason: "agent.refused", message: "This node's policy allows no upgrade from afar" }]);
});

test("a node that says nothing in time, and one that is away, fail clearly", async () => {
  await fleet.caller.node.upgrade({ id: server.nodeId });
  await until(stateNow, "installing");
  await fleet.database.sql(`UPDATE "nodeUpgrade" SET deadline = now() - interval '1 second'`);
  await until(stateNow, "failed");
  expect(await rows()).toMatchObject([{ reason: "installing.timeout" }]);
  await fleet.database.sql(`DELETE FROM "nodeUpgrade"`);
  fleet.clock.aheadMs += 3_600_000;
  expect(await problemOf(fleet.caller.node.upgrade({ id: server.nodeId }))).toEqual(["node.notConnected", "node.notConnected"]);
  fleet.clock.aheadMs = 0;
  for (const agent of [first, second, server]) await agent.turn();
  expect(await rows()).toEqual([]);
});

test("a director of a pair gives its VIPs away first; its peer waits until it is ready again", async () => {
  const { name, activeNodeId, vrrp, ping, manageFirewall } = await fleet.caller.directorGroup.get({ id: groupId });
  const spec = { name, activeNodeId, vrrp, ping, manageFirewall, mode: "vrrp" as const };
  await fleet.caller.directorGroup.replace({ id: groupId, revision: "*", spec });
  await say(first, "master");
  await until(async () => (await fleet.caller.directorGroup.get({ id: groupId })).status.phase, "paired");

  await say(second, "backup", { isReady: false });
  expect(await problemOf(fleet.caller.node.upgrade({ id: first.nodeId }))).toEqual(["group.notReady", "member.notReady"]);
  expect(await rows()).toEqual([]);
  await say(second, "backup");
  await say(first, "master");

  let installer: Partial<AgentUpgrade> = { state: "running" };
  const agent = answering(() => installer);
  try {
    expect(await fleet.caller.node.upgrade({ id: first.nodeId })).toMatchObject({ state: "moving", movedGroupIds: [groupId] });
    expect(await problemOf(fleet.caller.node.upgrade({ id: second.nodeId }))).toEqual(["node.busy", "upgrade.peer"]);
    expect((await fleet.database.sql(`SELECT kind, state, "toNodeId" FROM "groupMove"`))[0]).toEqual({
      ...{ kind: "move", state: "moving", toNodeId: second.nodeId },
    });
    await new Promise((resolve) => setTimeout(resolve, 2_500)); // two looks at it: nobody is asked while it holds the VIPs
    expect(agent.ids).toEqual([]);
    await say(second, "master");
    await say(first, "backup");
    await until(async () => agent.ids.length > 0, true);
    installer = { state: "done", exitCode: 0 };
    await say(first, "backup", { isReady: false });
    await until(stateNow, "settling");
    await say(first, "backup");
    await until(stateNow, "done");
  } finally {
    agent.stop();
  }
  expect(await rows()).toMatchObject([{ nodeId: first.nodeId, groupIds: [groupId], startedBy: "ada" }]);
});

test("VIPs that do not move leave the node as it is", async () => {
  await say(second, "master");
  await say(first, "backup");
  const agent = answering(() => ({ state: "running" }));
  await fleet.caller.node.upgrade({ id: second.nodeId });
  await fleet.database.sql(`UPDATE "groupMove" SET deadline = now() - interval '1 second' WHERE "endedAt" IS NULL`);
  await until(stateNow, "failed");
  agent.stop();
  expect(await rows()).toMatchObject([{ reason: "moving.failed", message: "default: move.timeout" }]);
  expect(agent.ids).toEqual([]);
});
