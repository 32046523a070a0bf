import { until } from "@trigon/db/testing/test-database";
import type { VirtualServiceInput } from "@trigon/model";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createRest } from "./rest.ts";
import { createTestFleet, factsOf, secretKey, specOf, type TestAgent, type TestFleet } from "./testing/fleet.ts";

let fleet: TestFleet;
let director: TestAgent;
beforeEach(async () => {
  fleet = await createTestFleet();
  director = await fleet.enroll("director", factsOf("lb-1", "192.0.2.2"));
  await director.turn();
});
afterEach(() => fleet.close());

const spec = (more: Partial<VirtualServiceInput> = {}) => specOf({ forwarding: "nat", ...more });
const newest = async () => (await fleet.caller.change.list({})).data[0]!;
/** What the database says: the service, its guards, and the changes that took one back. */
const scheduler = async (id: string) =>
  (await fleet.database.sql<{ s: string }>(`SELECT spec->>'scheduler' AS s FROM "virtualService" WHERE id = $1`, [id]))[0]!.s;
const guards = () =>
  fleet.database.sql<{ state: string; reason: string }>(`SELECT state, reason FROM "changeGuard" ORDER BY deadline`);
const undos = () =>
  fleet.database.sql<{ undoOf: string; author: string }>(`SELECT "undoOf", author FROM change WHERE "undoOf" IS NOT NULL`);
const decided = () => until(async () => (await guards()).every(({ state }) => state !== "pending"));

async function guarded(guard: "operator" | "reachability", guardSeconds?: number) {
  const { id } = await fleet.caller.virtualService.create({ spec: spec() });
  await director.turn();
  await fleet.caller.virtualService.patch({ id, revision: "*", spec: { scheduler: "rr" }, guard, guardSeconds });
  return { id, change: await newest() };
}

test("an operator's guard that nobody keeps takes the change back, once, by a change that names it; two replicas at it", async () => {
  const second = await fleet.replica();
  const { id, change } = await guarded("operator", 30);
  expect(change.guard).toMatchObject({ kind: "operator", seconds: 30, state: "pending", reason: "waiting" });
  expect((await fleet.caller.change.list({ guard: "pending" })).data).toHaveLength(1);
  expect(await scheduler(id)).toBe("rr");
  fleet.clock.aheadMs = second.clock.aheadMs = 31_000;
  await decided();
  expect(await guards()).toEqual([{ state: "undone", reason: "expired" }]);
  expect(await scheduler(id)).toBe("wlc");
  expect(await undos()).toEqual([{ undoOf: change.id, author: "controller (operator guard)" }]);
  await expect(fleet.caller.change.keep({ id: change.id })).rejects.toMatchObject({ cause: { code: "guard.over" } });
  expect((await fleet.caller.change.get({ id: change.id })).undoneBy).not.toBeNull();
  await second.close();
});

test("Keep ends it, as often as it is pressed, and is audited once; REST has both", async () => {
  const rest = createRest({ db: fleet.db, secretKey });
  const ask = (method: string, path: string, body?: unknown, more: Record<string, string> = {}) =>
    rest(
      new Request(`https://lb.example/api/v1${path}`, {
        method,
        headers: { "content-type": "application/json", ...more },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
      {
        services: fleet.api.services,
        actor: { kind: "token", name: "ci", scopes: ["virtual-service:write"] },
        requestId: "req_1",
      },
    );
  expect((await ask("POST", "/virtual-services?guard=perhaps", spec())).status).toBe(422);
  expect((await ask("POST", "/virtual-services?guard=operator&guardSeconds=1", spec())).status).toBe(422);
  expect((await ask("POST", "/virtual-services?guard=operator&dryRun=true", spec())).status).toBe(200);
  expect(await guards()).toEqual([]);
  const made = await ask("POST", "/virtual-services?guard=operator&guardSeconds=30", spec());
  expect(made.status).toBe(201);
  const change = await newest();
  for (let time = 0; time < 2; time++) {
    const kept = await ask("POST", `/changes/${change.id}/keep`);
    expect([kept.status, await kept.json()]).toMatchObject([
      200,
      { guard: { state: "kept", reason: "pressed", decidedBy: "ci" } },
    ]);
  }
  expect(await fleet.database.sql(`SELECT actor FROM "auditEvent" WHERE event = 'change.kept'`)).toEqual([{ actor: "ci" }]);
  const { id } = (await made.json()) as { id: string };
  const edit = await ask("PATCH", `/virtual-services/${id}`, { scheduler: "rr" }, { "if-match": "*" });
  expect(edit.status).toBe(200);
  const bare = await ask("POST", `/changes/${(await newest()).id}/keep`);
  expect([bare.status, await bare.json()]).toMatchObject([409, { code: "guard.absent" }]);
});

test("a change that every connected node came back with is kept by itself", async () => {
  const { id, change } = await guarded("reachability");
  expect(change.guard).toMatchObject({ state: "pending", seconds: 60, nodes: [{ nodeName: "lb-1", isBack: false }] });
  await director.turn();
  await decided();
  expect(await guards()).toEqual([{ state: "kept", reason: "returned" }]);
  expect(await scheduler(id)).toBe("rr");
});

test("a node that is slow, and talks, is waited for", async () => {
  const { id } = await guarded("reachability", 20);
  // Another guard shows that the time of both is over.
  await fleet.caller.virtualService.create({ spec: spec({ name: "shop", port: 81 }), guard: "operator", guardSeconds: 25 });
  await director.report();
  fleet.clock.aheadMs += 30_000;
  await until(async () => (await guards())[1]?.state === "undone");
  expect((await guards())[0]).toMatchObject({ state: "pending" });
  await director.turn();
  await decided();
  expect((await guards())[0]).toEqual({ state: "kept", reason: "returned" });
  expect(await scheduler(id)).toBe("rr");
});

test("a change that cuts a node off is taken back, and says which", async () => {
  const { id, change } = await guarded("reachability", 20);
  // Time flies: its seconds count from when this controller could be reached, too.
  await until(async () => {
    fleet.clock.aheadMs += 500;
    return (await guards())[0]?.state !== "pending";
  }, 30_000);
  const [late] = await fleet.database.sql(`SELECT "decidedAt" >= deadline AS late FROM "changeGuard"`);
  expect(late).toEqual({ late: true });
  expect(await guards()).toEqual([{ state: "undone", reason: "unreachable" }]);
  expect((await fleet.caller.change.get({ id: change.id })).guard).toMatchObject({ message: "lb-1" });
  expect(await scheduler(id)).toBe("wlc");
});

test("a node's plan says that it is guarded; what the node put back by itself is taken back at once, and it hears so", async () => {
  await director.turn();
  const { id } = await guarded("reachability", 20);
  const before = director.generation;
  const plan = await director.fetch();
  expect(plan.guard).toEqual({ seconds: 20 });
  const again = await fleet.api.agents.planFor(director.nodeId, {
    generation: before!,
    epoch: 1,
    takenBack: director.generation,
  });
  expect(await guards()).toEqual([{ state: "undone", reason: "unreachable" }]);
  expect(again).toMatchObject({ insists: true, fragments: [{ scheduler: "wlc" }] });
  expect(again.generation).toBeGreaterThan(plan.generation);
  expect(again.guard).toBeUndefined();
  expect(await scheduler(id)).toBe("wlc");
});

test("one that was kept on a node's last word before it was cut off is taken back, too; one that somebody kept is not", async () => {
  await director.turn();
  const takeBack = async (before: number) =>
    fleet.api.agents.planFor(director.nodeId, { generation: before, epoch: 1, takenBack: director.generation });
  const { id } = await guarded("reachability");
  const first = director.generation!;
  await director.turn();
  await decided();
  expect(await guards()).toEqual([{ state: "kept", reason: "returned" }]);
  await takeBack(first);
  expect(await guards()).toEqual([{ state: "undone", reason: "unreachable" }]);
  await director.turn();

  const before = director.generation!;
  await fleet.caller.virtualService.patch({ id, revision: "*", spec: { scheduler: "lc" }, guard: "reachability" });
  const [change] = (await fleet.caller.change.list({})).data;
  await director.fetch();
  await fleet.caller.change.keep({ id: change!.id });
  expect(await takeBack(before)).toMatchObject({ insists: true, fragments: [{ scheduler: "lc" }] });
  expect((await guards())[1]).toEqual({ state: "kept", reason: "pressed" });
});

test("a node's maintenance and its name may be guarded, too", async () => {
  const machine = await fleet.enroll("realServer", factsOf("web-1", "192.0.2.21"));
  await fleet.caller.virtualService.create({ spec: spec({ realServers: [{ rip: "192.0.2.21" }] }) });
  const states = () => fleet.database.sql<{ s: string }>(`SELECT "adminState" AS s FROM "realServer"`);
  const id = machine.nodeId;
  await fleet.caller.node.beginMaintenance({ id, guard: "operator", guardSeconds: 30 });
  expect(await states()).toEqual([{ s: "maintenance" }]);
  await fleet.caller.node.rename({ id, revision: "*", spec: { name: "web-9" }, guard: "operator", guardSeconds: 30 });
  fleet.clock.aheadMs += 31_000;
  await decided();
  expect(await guards()).toEqual([
    { state: "undone", reason: "expired" },
    { state: "undone", reason: "expired" },
  ]);
  expect(await states()).toEqual([{ s: "active" }]);
  expect((await fleet.caller.node.get({ id })).name).toBe("web-1");
});

test("nodes that were away before are not waited for", async () => {
  fleet.api.agents.connected(director.nodeId, false);
  const { change } = await (async () => {
    const { id } = await fleet.caller.virtualService.create({ spec: spec(), guard: "reachability" });
    return { id, change: await newest() };
  })();
  expect(change.guard?.nodes).toEqual([]);
  await decided();
  expect(await guards()).toEqual([{ state: "kept", reason: "returned" }]);
});

test("a controller that was away goes on: the operator's time is over, nodes get theirs anew", async () => {
  const { id } = await guarded("operator", 20);
  await fleet.caller.virtualService.create({ spec: spec({ name: "shop", port: 81 }), guard: "reachability", guardSeconds: 25 });
  await fleet.api.close();
  fleet.clock.aheadMs = 60_000;
  const next = await fleet.replica();
  next.clock.aheadMs = 60_000;
  try {
    await until(async () => (await guards())[0]?.state === "undone");
    expect(await scheduler(id)).toBe("wlc");
    expect((await guards())[1]).toMatchObject({ state: "pending" });
    director.api = next.api;
    await director.turn();
    await until(async () => (await guards())[1]?.state === "kept");
  } finally {
    await next.close();
  }
});

test("a later edit is not run over: the guard says plainly that it could not take the change back", async () => {
  const { id, change } = await guarded("operator", 20);
  await fleet.caller.virtualService.patch({ id, revision: "*", spec: { scheduler: "lc" } });
  fleet.clock.aheadMs = 21_000;
  await decided();
  expect(await guards()).toEqual([{ state: "failed", reason: "conflict" }]);
  expect(await scheduler(id)).toBe("lc");
  const { guard } = await fleet.caller.change.get({ id: change.id });
  expect(guard?.message).toContain("was changed since");
  expect(await fleet.database.sql(`SELECT event FROM "auditEvent" WHERE event = 'change.guardFailed'`)).toHaveLength(1);
});

test("what was taken back by hand is decided, and is not taken back again", async () => {
  const { id, change } = await guarded("operator", 20);
  await fleet.caller.change.undo({ id: change.id });
  expect(await guards()).toEqual([{ state: "undone", reason: "byHand" }]);
  expect(await scheduler(id)).toBe("wlc");
  expect(await undos()).toHaveLength(1);
});
