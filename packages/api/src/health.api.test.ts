import { until } from "@trigon/db/testing/test-database";
import type { HealthReport } from "@trigon/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestFleet, factsOf, type TestAgent, type TestFleet } from "./testing/fleet.ts";

let fleet: TestFleet;
let director: TestAgent;
beforeAll(async () => {
  fleet = await createTestFleet();
  director = await fleet.enroll("director", factsOf("lb-1", "192.0.2.2"));
});
afterAll(() => fleet.close());

const realServers = [{ rip: "192.0.2.11" }, { rip: "192.0.2.12" }];
const since = "2026-01-01T00:00:00.000Z";

test("what a director's checks say shows at the service, in the list and in the overview, and at another replica", async () => {
  const { caller } = fleet;
  const { id, realServers: made } = await caller.virtualService.create({
    spec: { name: "web", vip: "192.0.2.100", port: 80, forwarding: "nat", realServers },
  });
  await director.turn();
  const sent = JSON.parse(JSON.stringify(director.lastPlan!.fragments.find((one) => one.id === `ds:${id}`)));
  expect(sent.health.check).toMatchObject({ kind: "tcp", intervalMs: 2000 });
  expect((await caller.virtualService.get({ id })).status.health).toBeNull();

  const said = (mode: HealthReport["mode"]): HealthReport => ({
    fragmentId: `ds:${id}`,
    mode,
    realServers: made.map((server, at) => ({
      realServerId: server.id,
      verdict: at === 0 ? "down" : "up",
      isOut: at === 0,
      reason: at === 0 ? "refused" : null,
      message: at === 0 ? "The connection was refused" : null,
      latencyMs: at === 0 ? null : 1.5,
      since,
    })),
  });
  await director.report({ health: [said("normal")] });
  const view = await caller.virtualService.get({ id });
  expect(view.status.health).toMatchObject({ mode: "normal", directorNodeId: director.nodeId, check: { kind: "tcp" } });
  expect(view.status.health?.realServers[0]).toMatchObject({
    realServerId: made[0]!.id,
    verdict: "down",
    reason: "refused",
    since,
  });
  const row = async () => (await caller.virtualService.rows({})).data[0];
  expect(await row()).toMatchObject({ healthMode: "normal", realServers: { total: 2, out: 1 } });
  expect((await caller.overview.get()).problems.filter(({ kind }) => kind.startsWith("health."))).toEqual([
    {
      ...{ kind: "health.down", objectId: id, objectName: "web" },
      message: `1 of 2 real servers down: ${made[0]!.rip} (The connection was refused).`,
      values: { count: 1, total: 2, names: made[0]!.rip },
    },
  ]);

  // A difference leaves what it does not name as it was.
  await director.report({ full: false, fragments: [] });
  expect((await row())?.healthMode).toBe("normal");
  await director.report({ full: false, fragments: [], health: [said("failOpen")] });
  expect((await row())?.healthMode).toBe("failOpen");
  expect((await caller.overview.get()).problems).toContainEqual(
    expect.objectContaining({ kind: "health.failOpen", objectId: id, objectName: "web" }),
  );
  const stored = await fleet.database.sql<{ mode: string }>(
    `SELECT health->>'mode' AS mode FROM "nodeFragment" WHERE "nodeId" = $1 AND "fragmentId" = $2`,
    [director.nodeId, `ds:${id}`],
  );
  expect(stored).toEqual([{ mode: "failOpen" }]);

  const other = await fleet.replica();
  await until(async () => (await other.caller.virtualService.get({ id })).status.health?.mode === "failOpen");
  await other.close();
  // A full report without it: the director checks nothing any more.
  await director.report();
  expect((await caller.virtualService.get({ id })).status.health).toBeNull();
});

test("a patch changes one thing about health and leaves the rest", async () => {
  const { caller } = fleet;
  const check = { kind: "http", path: "/healthz", statuses: "200" } as const;
  const { id } = await caller.virtualService.create({
    spec: { name: "shop", vip: "192.0.2.101", port: 80, forwarding: "nat", realServers, health: { check, failOpen: false } },
  });
  const { health, revision } = await caller.virtualService.patch({
    id,
    revision: "*",
    spec: { health: { onFailure: "remove" } },
  });
  expect(health).toMatchObject({ onFailure: "remove", failOpen: false, check: { kind: "http", path: "/healthz", rise: 2 } });
  expect(revision).toBe(2);
  const same = await caller.virtualService.patch({ id, revision: "*", spec: { health: {} } });
  expect(same).toMatchObject({ revision: 2, health });
});

test("a service stored before there was health has the default, and writing it back changes nothing", async () => {
  const { caller, database } = fleet;
  const { id } = await caller.virtualService.create({
    spec: { name: "old", vip: "192.0.2.102", port: 80, forwarding: "nat", realServers },
  });
  await database.sql(`UPDATE "virtualService" SET spec = spec - 'health' WHERE id = $1`, [id]);
  const other = await fleet.replica();
  expect((await other.caller.virtualService.get({ id })).health).toMatchObject({ check: null, failOpen: true });
  await other.close();
});
