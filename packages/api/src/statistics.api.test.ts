import { performance } from "node:perf_hooks";
import { type Database, openDatabase } from "@trigon/db";
import { createTestDatabase, type TestDatabase } from "@trigon/db/testing/test-database";
import type { AgentCounters } from "@trigon/model";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { newId } from "./new-id.ts";
import { Statistics } from "./statistics.ts";
import { boundBytesEach } from "./statistics-rings.ts";
import { createTestFleet, specOf } from "./testing/fleet.ts";

let database: TestDatabase;
let db: Database;
beforeAll(async () => {
  database = await createTestDatabase();
  db = await openDatabase(database.url, newId("fleet"));
  for (const name of ["node_1", "node_2"]) {
    await database.sql(`INSERT INTO node (id, name, role, index, state, sequence) VALUES ($1, $1, 'director', $2, 'active', 1)`, [
      name,
      Number(name.at(-1)),
    ]);
  }
});
afterAll(async () => {
  await db.close();
  await database.drop();
});
beforeEach(async () => {
  await database.sql(`TRUNCATE "statistics", "statisticsCursor"`);
});

/** Noon of some day, on a slot's edge. */
const epoch = Date.UTC(2026, 5, 1, 12);
const clock = { steadyMs: 0, wallMs: epoch };
const replicaOf = () => new Statistics({ db, now: () => clock.wallMs, steady: () => clock.steadyMs, log: () => undefined });
/** A steady clock tells fractions. */
const pass = (ms: number) => {
  clock.steadyMs += ms + 0.013;
  clock.wallMs += ms;
};

interface Count {
  connections: number;
  bytes: number;
}
const said = (services: ReadonlyMap<string, Count>, bootId = "boot"): AgentCounters => ({
  protocol: 1,
  bootId,
  runId: "run",
  at: "2026-06-01T00:00:00.000Z",
  services: [...services].map(([serviceId, { connections, bytes }]) => ({
    serviceId,
    counters: { connections, inPackets: connections * 3, outPackets: 0, inBytes: bytes, outBytes: 0 },
    destinations: [],
  })),
  replies: [],
});
const stored = (series: string, stepSeconds = 10) =>
  database.sql<{ at: Date; connections: string; inBytes: string; coveredMs: number }>(
    `SELECT at, connections, "inBytes", "coveredMs" FROM "statistics" WHERE series = $1 AND "stepSeconds" = $2 ORDER BY at`,
    [series, stepSeconds],
  );
const sumOf = (rows: readonly { connections: string }[]) => rows.reduce((sum, row) => sum + Number(row.connections), 0);

/** A small generator with a seed, so that a failure can be run again. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test.each([1, 2, 3, 4, 5, 6, 7, 8])(
  "whatever restarts, resets, silences, clock steps and changes of replica come, no rate is negative or above the true one (seed %i)",
  async (seed) => {
    const random = randomOf(seed);
    clock.wallMs = epoch;
    const replicas = [replicaOf(), replicaOf()];
    const mostPerSecond = 50;
    const counters = new Map<string, Count>();
    const truth = new Map<string, number>();
    let replica = replicas[0]!;
    let bootId = "boot-0";
    for (const id of ["vs_1", "vs_2", "vs_3"]) counters.set(id, { connections: random(1e6), bytes: 0 });
    for (let second = 0; second < 900; second += 2) {
      pass(2000);
      for (const [id, count] of counters) {
        const moved = random(2 * mostPerSecond + 1);
        count.connections += moved;
        count.bytes += moved * 100;
        truth.set(id, (truth.get(id) ?? 0) + moved);
      }
      const event = random(60);
      if (event === 0) counters.set(`vs_${1 + random(3)}`, { connections: 0, bytes: 0 });
      if (event === 1)
        for (const count of counters.values()) Object.assign(count, { connections: random(100), bytes: random(1e9) });
      if (event === 2) bootId = `boot-${second}`;
      if (event === 3) pass(60_000);
      if (event === 4) clock.wallMs += random(7200_000) - 3600_000;
      if (event === 5) replica = replicas[random(2)]!;
      replica.accept("node_1", said(counters, bootId));
      if (second % 10 === 8) await Promise.all(replicas.map((one) => one.flush()));
    }
    const range = "1h";
    for (const [id, total] of truth) {
      expect(sumOf(await stored(id))).toBeLessThanOrEqual(total);
      const { connectionsPerSecond, inBytesPerSecond } = await replica.rates(id, range, ["node_1"]);
      const known = connectionsPerSecond.filter((rate) => rate !== null);
      expect(known.length).toBeGreaterThan(0);
      for (const rate of known) {
        expect(rate).toBeGreaterThanOrEqual(0);
        // A slot's edge cuts a sample's traffic by time: to a whole connection.
        expect(rate).toBeLessThanOrEqual(mostPerSecond + 1);
      }
      for (const rate of inBytesPerSecond) expect(rate ?? 0).toBeLessThanOrEqual((mostPerSecond + 1) * 100);
    }
  },
);

test("in calm times every connection is stored once, in each ring and for the fleet, with a second replica beside", async () => {
  clock.wallMs = epoch;
  const [one, other] = [replicaOf(), replicaOf()];
  const count = { connections: 500, bytes: 0 };
  const first = new Map([["vs_1", count]]);
  const say = () => {
    one.accept("node_1", said(first));
    other.accept("node_2", said(new Map([["vs_1", { connections: 7, bytes: 0 }]])));
  };
  say();
  await Promise.all([one.flush(), other.flush()]);
  for (let second = 0; second < 600; second += 2) {
    pass(2000);
    count.connections += 13;
    say();
    if (second % 10 === 8) await Promise.all([one.flush(), other.flush()]);
  }
  for (const step of [10, 300, 3600]) {
    expect(sumOf(await stored("vs_1", step))).toBe(300 * 13);
    expect(sumOf(await stored("fleet", step))).toBe(300 * 13);
  }
  expect((await stored("vs_1", 10)).length).toBe(60);
  const { connectionsPerSecond } = await one.rates("vs_1", "1h", ["node_1", "node_2"]);
  expect(connectionsPerSecond.filter((rate) => rate !== null).every((rate) => Math.abs(rate - 6.5) < 0.2)).toBe(true);
});

test("a node heard at two replicas in turn is never counted twice", async () => {
  clock.wallMs = epoch;
  const replicas = [replicaOf(), replicaOf()];
  const count = { connections: 0, bytes: 0 };
  for (let step = 0; step < 120; step++) {
    pass(2000);
    count.connections += 10;
    replicas[step % 2]!.accept("node_1", said(new Map([["vs_1", count]])));
    if (step % 5 === 4) await Promise.all(replicas.map((one) => one.flush()));
  }
  expect(sumOf(await stored("vs_1"))).toBeLessThanOrEqual(1200);
});

test("a span in which nobody counted is a gap, an idle one is zero", async () => {
  clock.wallMs = epoch;
  const one = replicaOf();
  const services = new Map([["vs_1", { connections: 1, bytes: 0 }]]);
  const hear = async (seconds: number) => {
    for (let second = 0; second < seconds; second += 2) {
      pass(2000);
      one.accept("node_1", said(services));
      if (second % 10 === 8) await one.flush();
    }
  };
  await hear(120);
  pass(120_000);
  await hear(120);
  const { connectionsPerSecond, from, stepSeconds } = await one.rates("vs_1", "1h", ["node_1"]);
  const at = (seconds: number) => connectionsPerSecond[(epoch + seconds * 1000 - Date.parse(from)) / 1000 / stepSeconds];
  expect([at(60), at(180), at(300)]).toEqual([0, null, 0]);
  expect(at(-60)).toBeNull();
});

test("the rings of a busy service take no more than the bound says, and are never written longer", async () => {
  const busy = 200;
  await database.sql(`INSERT INTO "statistics" SELECT 'vs_' || md5(s::text), step, slot, now(), 0, 0, 1e6, 1e6, 1e6, 1e9, 1e9, 1e6, 1e9
    FROM generate_series(1, ${busy}) s, (VALUES (10, 360), (300, 288), (3600, 720)) AS ring(step, slots), generate_series(0, slots - 1) slot`);
  const one = replicaOf();
  const { bytes } = await one.storage(busy, 0);
  const [size] = await database.sql<{ size: string }>(`SELECT pg_total_relation_size('"statistics"') AS size`);
  expect(bytes).toBeGreaterThanOrEqual(Number(size!.size));
  console.info(
    `statistics: ${Math.round(Number(size!.size) / busy / 1000)} kB a service, bound ${Math.round(boundBytesEach / 1000)} kB`,
  );
  expect(Number(size!.size) / busy).toBeLessThan(boundBytesEach);
});

test("1,000 services with traffic are written in one go, well within the time to the next", async () => {
  clock.wallMs = epoch;
  const one = replicaOf();
  const services = new Map(Array.from({ length: 1000 }, (_, index) => [`vs_many${index}`, { connections: 0, bytes: 0 }]));
  const hear = async () => {
    for (let second = 0; second < 10; second += 2) {
      pass(2000);
      for (const count of services.values()) count.connections += 3;
      one.accept("node_1", said(services));
    }
    const began = performance.now();
    await one.flush();
    return performance.now() - began;
  };
  await hear();
  const took = [await hear(), await hear(), await hear()];
  console.info(`statistics: 1,000 services written in ${took.map(Math.round).join(", ")} ms`);
  expect(Math.min(...took)).toBeLessThan(5000);
});

test("the API answers for the fleet, a service and the storage, by REST's names and ranges", async () => {
  const fleet = await createTestFleet();
  try {
    const { director } = await fleet.enrollPair();
    const { id } = await fleet.caller.virtualService.create({ spec: specOf() });
    const mine = new Map([[id, { connections: 0, bytes: 0 }]]);
    await fleet.api.agents.counters(director.nodeId, said(mine));
    for (const range of ["1h", "24h", "30d"] as const) {
      const view = await fleet.caller.statistics.service({ id, range });
      expect(view).toMatchObject({ range, outCountedBy: "realServers" });
      expect(view.inBytesPerSecond).toHaveLength({ "1h": 359, "24h": 287, "30d": 719 }[range]);
      expect(new Set((await fleet.caller.statistics.fleet({ range })).outBytesPerSecond)).toEqual(new Set([null]));
    }
    expect(await fleet.caller.statistics.storage()).toMatchObject({ services: 1, directors: 1, boundBytes: 3 * boundBytesEach });
    await expect(fleet.caller.statistics.service({ id: "vs_none", range: "1h" })).rejects.toThrow();
  } finally {
    await fleet.close();
  }
}, 60_000);
