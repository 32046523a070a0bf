import { until } from "@trigon/db/testing/test-database";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestFleet, factsOf, type TestAgent, type TestFleet } from "./testing/fleet.ts";

let fleet: TestFleet;
let director: TestAgent;
let server: TestAgent;
beforeAll(async () => {
  fleet = await createTestFleet();
  ({ director, server } = await fleet.enrollPair());
});
afterAll(() => fleet.close());

const service = (name: string, port: number) =>
  fleet.caller.virtualService.create({
    spec: { name, vip: "192.0.2.100", port, forwarding: "dr", realServers: [{ rip: "192.0.2.11" }] },
  });

test("an older pass of the same run changes nothing, and the same one again is no error", async () => {
  await service("web", 80);
  await server.turn();
  await server.turn();
  const row = () => fleet.database.sql(`SELECT pass FROM "nodeReport" WHERE "nodeId" = $1`, [server.nodeId]);
  expect(await row()).toEqual([{ pass: 2 }]);
  expect(await server.report({ pass: 1 })).toEqual({ accepted: false, wantFull: false });
  expect(await server.report({ pass: 2 })).toEqual({ accepted: true, wantFull: false });
  expect(await row()).toEqual([{ pass: 2 }]);
});

test("a difference with nothing to stand on is asked for whole", async () => {
  const agent = await fleet.enroll("realServer", factsOf("rs-2", "192.0.2.12"));
  expect(await agent.report({ full: false })).toEqual({ accepted: false, wantFull: true });
  expect(await agent.report()).toEqual({ accepted: true, wantFull: false });
  agent.runId = "run-2";
  agent.pass = 0;
  expect(await agent.report({ full: false })).toEqual({ accepted: false, wantFull: true });
});

test("what one replica heard shows at the other", async () => {
  const other = await fleet.replica();
  await director.turn();
  await until(async () => (await other.caller.node.get({ id: director.nodeId })).generation.applied === director.generation);
  await until(async () => (await other.caller.node.get({ id: director.nodeId })).isConnected);
  await other.close();
});

test("a node that goes on at another replica, with differences only, loses nothing of what the first one heard", async () => {
  const other = await fleet.replica();
  await director.turn();
  const [first, ...rest] = [...director.fragments.values()];
  const failed = { id: first!.id, hash: first!.hash, state: "failed", reason: "action.failed", message: "EPERM" } as const;
  await director.report({ full: false, fragments: [failed] });
  const mine = director.api;
  director.api = other.api;
  const applied = rest.map(({ id, hash }) => ({ id, hash, state: "applied" as const, reason: null, message: null }));
  await director.report({ full: false, fragments: applied });
  director.api = mine;
  const { parts } = await other.caller.node.get({ id: director.nodeId });
  expect(parts.find(({ fragmentId }) => fragmentId === first!.id)).toMatchObject({ state: "failed", message: "lb-1: EPERM" });
  const rows = await fleet.database.sql(`SELECT state FROM "nodeFragment" WHERE "nodeId" = $1 AND "fragmentId" = $2`, [
    director.nodeId,
    first!.id,
  ]);
  expect(rows).toEqual([{ state: "failed" }]);
  await director.report();
  await other.close();
});

test("a node with something left to remove is not in sync before it has", async () => {
  const last = await fleet.caller.virtualService.create({
    spec: { name: "last", vip: "192.0.2.105", port: 80, forwarding: "nat", realServers: [{ rip: "192.0.2.11" }] },
  });
  await director.turn();
  const state = async () => (await fleet.caller.node.get({ id: director.nodeId })).sync.state;
  expect(await state()).toBe("inSync");
  await fleet.caller.virtualService.delete({ id: last.id, revision: last.revision });
  expect(await state()).toBe("applying");
  await director.turn();
  expect(await state()).toBe("inSync");
});

test("new facts plan again what they change, and nothing else", async () => {
  const other = await fleet.caller.virtualService.create({
    spec: { name: "plain", vip: "192.0.2.101", port: 81, forwarding: "nat", realServers: [{ rip: "192.0.2.77" }] },
  });
  const sequences = () =>
    fleet.database.sql<{ name: string; sequence: number }>(`SELECT name, sequence FROM "virtualService" ORDER BY name`);
  const before = await sequences();
  const late = await fleet.enroll("realServer", factsOf("rs-77", "192.0.2.70"));
  await late.turn();
  expect(await sequences()).toEqual(before);
  late.facts = factsOf("rs-77", "192.0.2.77");
  await late.turn();
  expect((await sequences()).filter((row, at) => row.sequence !== before[at]?.sequence).map(({ name }) => name)).toEqual([
    "plain",
  ]);
  const gates = await fleet.database.sql(`SELECT state, admitted->>'nodeId' AS node FROM gate WHERE "serviceId" = $1`, [
    other.id,
  ]);
  expect(gates).toEqual([{ state: "open", node: late.nodeId }]);
});

test("when the active member changes, the VIPs move only after the old one has let go", async () => {
  const second = await fleet.enroll("director", factsOf("lb-2", "192.0.2.3"));
  await director.turn();
  await server.turn();
  await second.turn();
  const [group] = (await fleet.caller.directorGroup.list({})).data;
  const { id, revision, members: _members, status: _status, ...spec } = group!;
  await fleet.caller.directorGroup.replace({ id, revision, spec: { ...spec, activeNodeId: second.nodeId } });
  await second.fetch();
  expect([...second.fragments.keys()].filter((one) => one.startsWith("dv:"))).toEqual([]);
  await director.turn();
  expect([...director.fragments.keys()]).toEqual([]);
  await until(async () => {
    await second.fetch();
    return second.fragments.has("dv:192.0.2.100") && second.fragments.has("dv:192.0.2.101");
  });
  const back = (await fleet.caller.directorGroup.get({ id })).revision;
  await fleet.caller.directorGroup.replace({ id, revision: back, spec: { ...spec, activeNodeId: director.nodeId } });
  await second.turn();
  await until(async () => {
    await director.turn();
    return director.fragments.has("dv:192.0.2.100");
  });
});

test("rates come from two samples of one run; reply bytes from the real servers; a new run has no rates yet", async () => {
  const { data } = await fleet.caller.virtualService.list({ query: "web" });
  const { id, realServers } = data[0]!;
  const counters = (connections: number, bytes: number) => ({
    protocol: 1,
    bootId: "b",
    runId: "r",
    at: new Date().toISOString(),
    services: [
      {
        serviceId: id,
        counters: { connections, inPackets: 0, outPackets: 0, inBytes: bytes, outBytes: 0 },
        destinations: [
          {
            realServerId: realServers[0]!.id,
            active: 3,
            inactive: 1,
            persistent: 0,
            weight: 1,
            counters: { connections, inPackets: 0, outPackets: 0, inBytes: bytes, outBytes: 0 },
          },
        ],
      },
    ],
    replies: [],
  });
  const replies = (bytes: number) => ({ ...counters(0, 0), services: [], replies: [{ serviceId: id, packets: 1, bytes }] });
  await fleet.api.agents.counters(director.nodeId, counters(10, 1000));
  await fleet.api.agents.counters(server.nodeId, replies(5000));
  const read = async () => (await fleet.caller.virtualService.counters({ serviceIds: [id] })).data[0]!;
  expect(await read()).toMatchObject({ totals: { connections: 10 }, rates: { connectionsPerSecond: null }, replyBytes: 5000 });
  fleet.clock.aheadMs += 2000;
  await fleet.api.agents.counters(director.nodeId, counters(30, 3000));
  await fleet.api.agents.counters(server.nodeId, replies(9000));
  const later = await read();
  // At least two seconds lie between the samples; a busy machine makes them more.
  for (const [rate, most] of [
    [later.rates.connectionsPerSecond, 10],
    [later.replyBytesPerSecond, 2000],
  ] as const) {
    expect(rate).toBeGreaterThan(most / 4);
    expect(rate).toBeLessThanOrEqual(most);
  }
  expect(later.realServers[0]).toMatchObject({ active: 3, inactive: 1, weight: 1, replyBytes: 9000 });
  fleet.clock.aheadMs += 2000;
  await fleet.api.agents.counters(director.nodeId, { ...counters(1, 1), runId: "r2" });
  expect((await read()).rates.connectionsPerSecond).toBeNull();
});

test("two machines with one certificate are quarantined", async () => {
  const one = await fleet.enroll("realServer", factsOf("rs-c", "192.0.2.21"));
  await one.turn();
  const { TestAgent } = await import("./testing/fleet.ts");
  const clone = new TestAgent(fleet.api, one.enrolled, { ...one.facts, bootId: "boot-clone" });
  clone.runId = "run-clone";
  await clone.turn();
  for (let turn = 0; turn < 4; turn++) await one.report();
  await until(async () => {
    const [row] = await fleet.database.sql<{ state: string }>("SELECT state FROM node WHERE id = $1", [one.nodeId]);
    return row?.state === "quarantined";
  });
  const refusal = expect.objectContaining({ code: "node.quarantined" });
  const peer = { nodeId: one.nodeId, serial: one.serial };
  await until(() => !fleet.api.agents.mayStay(peer));
  await expect(fleet.api.agents.admit(peer)).rejects.toThrow(refusal);
});

test("a restored database tells agents nothing and takes no change until an operator confirms; then all generations are newer", async () => {
  await director.turn();
  const held = [...director.fragments.keys()];
  expect(held.length).toBeGreaterThan(0);
  const seen = director.generation!;
  // As if restored from a time before: the sequence is far behind what agents hold, and services are missing.
  await fleet.database.sql(`UPDATE fleet SET sequence = 5`);
  const kept = held.find((id) => id.startsWith("ds:"))!.split(":")[1]!;
  await fleet.database.sql(`DELETE FROM "virtualService" WHERE id <> $1`, [kept]);
  const restored = await fleet.replica();
  director.api = restored.api;
  await expect(director.fetch()).rejects.toMatchObject({ code: "generation.ahead" });
  await expect(director.report()).rejects.toMatchObject({ code: "generation.ahead" });
  expect([...director.fragments.keys()]).toEqual(held);
  const rows = await fleet.database.sql(`SELECT "observeOnly", "highestReported" FROM fleet`);
  expect(rows).toEqual([{ observeOnly: true, highestReported: seen }]);
  await expect(
    restored.caller.virtualService.create({ spec: { name: "new", vip: "192.0.2.105", port: 80, forwarding: "dr" } }),
  ).rejects.toMatchObject({ cause: { code: "fleet.observeOnly" } });
  expect((await restored.caller.overview.get()).problems.map(({ kind }) => kind)).toContain("fleet.observeOnly");

  await restored.caller.fleet.confirmRestore();
  const confirmed = await restored.caller.fleet.get();
  expect(confirmed).toMatchObject({ epoch: 2, observeOnly: false, highestReported: null });
  expect(confirmed.sequence).toBeGreaterThan(seen);
  // What was said before the restore is no word on what is wanted after it.
  const partOfDirector = async () => {
    const { status } = await restored.caller.virtualService.get({ id: kept });
    return status.parts.find(({ nodeId }) => nodeId === director.nodeId)?.state;
  };
  expect(await partOfDirector()).not.toBe("inSync");
  const plan = await director.fetch();
  expect(plan).toMatchObject({ epoch: 2, since: null, observeOnly: false, allowMassRemoval: false });
  await director.report();
  await until(async () => (await partOfDirector()) === "inSync");
  await restored.close();
});
