import { until } from "@trigon/db/testing/test-database";
import type { VirtualServiceInput } from "@trigon/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestFleet, specOf, type TestAgent, type TestFleet } from "./testing/fleet.ts";

let fleet: TestFleet;
let director: TestAgent;
let server: TestAgent;
beforeAll(async () => {
  fleet = await createTestFleet();
  ({ director, server } = await fleet.enrollPair());
});
afterAll(() => fleet.close());

test("a service goes from form to plan: the real server first, the director when it is ready, the VIP with it", async () => {
  const created = await fleet.caller.virtualService.create({ spec: specOf() });
  expect(created).toMatchObject({ revision: 1, scheduler: "wlc", realServers: [{ rip: "192.0.2.11", port: null, weight: 1 }] });
  await director.fetch();
  await server.fetch();
  expect([...server.fragments.keys()]).toEqual([`rs:${created.id}`]);
  expect(director.fragments.get(`ds:${created.id}`)).toMatchObject({ destinations: [] });
  expect(director.fragments.has("dv:192.0.2.100")).toBe(true);

  await server.report();
  await until(async () => {
    await director.fetch();
    const fragment = director.fragments.get(`ds:${created.id}`) as unknown as { destinations: unknown[] };
    return fragment.destinations.length === 1;
  });
  expect(await fleet.database.sql(`SELECT state FROM gate WHERE "serviceId" = $1`, [created.id])).toEqual([{ state: "open" }]);
  expect(fleet.woken.map(({ nodeId }) => nodeId)).toContain(director.nodeId);

  await director.report();
  const view = await fleet.caller.virtualService.get({ id: created.id });
  expect(view.status.sync).toMatchObject({ state: "inSync" });
  const outcomes = await until(async () => {
    const { data } = await fleet.caller.change.list({ query: "web" });
    return data[0]!.outcomes.every(({ state }) => state === "inSync") && data[0]!.outcomes;
  });
  expect(outcomes.map(({ nodeName }) => nodeName).sort()).toEqual(["lb-1", "rs-1"]);
});

test("an edit bumps the revision and wakes only the nodes it concerns; a stale one is refused", async () => {
  const [service] = (await fleet.caller.virtualService.list({})).data;
  const { id, revision } = service!;
  fleet.woken.length = 0;
  const patched = await fleet.caller.virtualService.patch({
    id,
    revision,
    spec: { realServers: [{ ...service!.realServers[0]!, weight: 5 }] },
  });
  expect(patched).toMatchObject({ revision: revision + 1, realServers: [{ id: service!.realServers[0]!.id, weight: 5 }] });
  expect(new Set(fleet.woken.map(({ nodeId }) => nodeId))).toEqual(new Set([director.nodeId]));
  const plan = await director.fetch();
  expect(plan.since).not.toBeNull();
  expect(plan.fragments.map(({ id: fragmentId }) => fragmentId)).toEqual([`ds:${id}`]);
  await expect(fleet.caller.virtualService.patch({ id, revision, spec: { enabled: false } })).rejects.toMatchObject({
    cause: { code: "revision.stale" },
  });
  await expect(fleet.caller.virtualService.patch({ id, spec: { enabled: false } })).rejects.toMatchObject({
    cause: { code: "revision.required" },
  });
});

test("a replace that changes nothing takes no sequence and makes no revision", async () => {
  const [service] = (await fleet.caller.virtualService.list({})).data;
  const { id, revision, status: _status, createdAt: _createdAt, updatedAt: _updatedAt, ...same } = service!;
  const before = await fleet.database.sql("SELECT sequence FROM fleet");
  expect(await fleet.caller.virtualService.replace({ id, revision, spec: same })).toMatchObject({ revision });
  expect(await fleet.database.sql("SELECT sequence FROM fleet")).toEqual(before);
});

test("two replicas on one database give identical plans, also one that starts anew", async () => {
  const other = await fleet.replica();
  const own = await fleet.caller.virtualService.create({ spec: specOf({ name: "second", port: 8080, forwarding: "fullnat" }) });
  await until(() => other.api.figures().sequence === fleet.api.figures().sequence);
  const fresh = await fleet.replica();
  for (const { nodeId } of [director, server]) {
    for (const since of [null, { generation: 3, epoch: 1 }]) {
      const plans = await Promise.all([fleet, other, fresh].map(({ api }) => api.agents.planFor(nodeId, since)));
      const sorted = plans.map((plan) => ({
        ...plan,
        fragments: plan.fragments.toSorted((a, b) => a.id.localeCompare(b.id)),
        tombstones: plan.tombstones.toSorted(),
      }));
      expect(sorted[1]).toEqual(sorted[0]);
      expect(sorted[2]).toEqual(sorted[0]);
    }
  }
  await other.close();
  await fresh.close();
  await fleet.caller.virtualService.delete({ id: own.id, revision: own.revision });
});

test("deleting tombstones the director first; the real server keeps the VIP until the director has let go", async () => {
  const [service] = (await fleet.caller.virtualService.list({})).data;
  const { id, revision } = service!;
  await director.turn();
  await server.turn();
  await fleet.caller.virtualService.delete({ id, revision });
  await server.fetch();
  expect([...server.fragments.keys()]).toEqual([`rs:${id}`]);
  const plan = await director.fetch();
  expect(plan.allowMassRemoval).toBe(true);
  expect([...director.fragments.keys()]).toEqual([]);
  await director.report();
  await until(async () => {
    await server.fetch();
    return server.fragments.size === 0;
  });
  await until(async () => (await fleet.database.sql("SELECT 1 FROM gate")).length === 0);
  await fleet.caller.virtualService.delete({ id, revision });
  await expect(fleet.caller.virtualService.get({ id })).rejects.toMatchObject({ cause: { code: "resource.notFound" } });
});

const wrong: [string, Partial<VirtualServiceInput>, string, string][] = [
  ["a VIP that is no address", { vip: "192.0.2.999" }, "/vip", "address.invalid"],
  ["a node's VIP", { vip: "192.0.2.11" }, "/vip", "vip.isNodeAddress"],
  ["a gateway's VIP", { vip: "192.0.2.1" }, "/vip", "vip.isGateway"],
  ["a name server's VIP", { vip: "192.0.2.53" }, "/vip", "vip.isResolver"],
  ["the controller's VIP", { vip: "192.0.2.250" }, "/vip", "vip.isController"],
  ["a DR port mismatch", { realServers: [{ rip: "192.0.2.11", port: 8080 }] }, "/realServers/0/port", "realServer.portMismatch"],
  ["an off-link RIP for DR", { realServers: [{ rip: "198.51.100.9" }] }, "/realServers/0/rip", "realServer.offLink"],
  ["a VIP and port that are taken", { name: "other", vip: "192.0.2.101", port: 443 }, "/port", "service.duplicate"],
  ["a name that is taken", { name: "taken" }, "/name", "name.taken"],
  ["a port out of range", { port: 70000 }, "/port", "field.range"],
  ["an unknown field", { colour: "red" } as never, "/colour", "field.unknown"],
  [
    "a weight that is null",
    { realServers: [{ rip: "192.0.2.11", weight: null as never }] },
    "/realServers/0/weight",
    "field.type",
  ],
];

test.each(wrong)("%s is refused by its field and code, and changes nothing", async (_name, more, pointer, code) => {
  const { data } = await fleet.caller.virtualService.list({ query: "taken" });
  if (data.length === 0)
    await fleet.caller.virtualService.create({ spec: specOf({ name: "taken", vip: "192.0.2.101", port: 443 }) });
  const counts = () =>
    fleet.database.sql(`SELECT (SELECT sequence FROM fleet), (SELECT count(*) FROM "virtualService") AS services,
      (SELECT count(*) FROM "realServer") AS servers, (SELECT count(*) FROM change) AS changes, (SELECT count(*) FROM vip) AS vips`);
  const before = await counts();
  const error = await fleet.caller.virtualService.create({ spec: specOf(more) }).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  const { problemOf, domainErrorOf } = await import("./problem.ts");
  const problem = problemOf(domainErrorOf(error), "req_1");
  expect(problem).toMatchObject({ status: 422, code: "input.invalid" });
  expect(problem.errors).toEqual(expect.arrayContaining([expect.objectContaining({ pointer, code })]));
  expect(await counts()).toEqual(before);
  const validated = await fleet.caller.virtualService.validate({ spec: specOf(more) });
  expect(validated.errors).toEqual(expect.arrayContaining([expect.objectContaining({ pointer, code })]));
});

test("a page's cursor leads to the next page, and one made up is refused", async () => {
  await Promise.all(
    ["a", "b", "c"].map((name, at) =>
      fleet.caller.virtualService.create({ spec: specOf({ name: `page ${name}`, port: 9000 + at }) }),
    ),
  );
  const first = await fleet.caller.virtualService.list({ query: "page", limit: 2 });
  const second = await fleet.caller.virtualService.list({ query: "page", limit: 2, cursor: first.nextCursor! });
  expect([...first.data, ...second.data].map(({ name }) => name)).toEqual(["page a", "page b", "page c"]);
  expect(second.nextCursor).toBeNull();
  await expect(fleet.caller.virtualService.list({ cursor: "bm90IGEgY3Vyc29y" })).rejects.toMatchObject({
    cause: { fields: [{ code: "cursor.invalid" }] },
  });
});

test("rows come in the order asked for, a page of them at a time, with how many there are", async () => {
  await Promise.all(
    ["192.0.2.9", "192.0.2.10", "2001:db8::9"].map((vip, at) =>
      fleet.caller.virtualService.create({
        spec: specOf({
          name: `row ${"cab"[at]}`,
          vip,
          forwarding: "nat",
          realServers: at === 1 ? [] : [{ rip: vip.replace(/9$/, "8") }],
        }),
      }),
    ),
  );
  const names = async (input: object) => {
    const { data, total } = await fleet.caller.virtualService.rows({ query: "row ", ...input });
    return `${data.map(({ name }) => name.slice(4)).join("")} of ${total}`;
  };
  expect(await names({})).toBe("abc of 3");
  expect(await names({ descending: true, offset: 1, limit: 1 })).toBe("b of 3");
  expect(await names({ order: "address" })).toBe("cab of 3"); // .9 before .10
  expect(await names({ order: "connections" })).toBe("abc of 3"); // nobody counts: by name
  expect(await names({ offset: 3 })).toBe(" of 3");
});

test("one thing is done to many services, or to none of them", async () => {
  const make = (name: string, port: number) =>
    fleet.caller.virtualService.create({ spec: specOf({ name, vip: "192.0.2.77", port, forwarding: "nat" }) });
  const [one, two] = [await make("bulk one", 1001), await make("bulk two", 1002)];
  const ids = [one.id, two.id];
  const bulk = (action: "switchOff" | "switchOn" | "drain" | "activate" | "delete", of = ids) =>
    fleet.caller.virtualService.bulk({ spec: { action, ids: of } });
  const state = () =>
    fleet.database.sql<{ sequence: number; enabled: boolean; admin: string }>(
      `SELECT v.sequence, (v.spec->>'enabled')::boolean AS enabled, coalesce(r."adminState", 'active') AS admin FROM "virtualService" v JOIN "realServer" r ON r."serviceId" = v.id
       WHERE v.name LIKE 'bulk %' AND v."deletedAt" IS NULL ORDER BY v.name`,
    );
  const preview = await fleet.caller.virtualService.preview({ action: "bulk", spec: { action: "delete", ids } });
  expect(preview).toMatchObject({ changesAnything: true, before: null, after: null });
  expect(await state()).toHaveLength(2);

  expect(await bulk("switchOff")).toEqual({ changed: 2 });
  const off = await state();
  expect(off.map(({ enabled }) => enabled)).toEqual([false, false]);
  expect(off[0]!.sequence).toBe(off[1]!.sequence); // one write
  expect(await bulk("switchOff")).toEqual({ changed: 0 });
  expect((await state())[0]!.sequence).toBe(off[0]!.sequence);
  expect(await fleet.caller.virtualService.preview({ action: "bulk", spec: { action: "switchOff", ids } })).toMatchObject({
    changesAnything: false,
  });
  await bulk("switchOn");
  expect(await bulk("drain", [one.id])).toEqual({ changed: 1 });
  expect((await state()).map(({ admin }) => admin)).toEqual(["draining", "active"]);
  expect(await bulk("activate")).toEqual({ changed: 1 });

  const refused = bulk("delete", [one.id, "vs_000000000000"]);
  await expect(refused).rejects.toMatchObject({ cause: { fields: [{ pointer: "/spec/ids/1", code: "resource.notFound" }] } });
  expect(await state()).toHaveLength(2);
  expect(await bulk("delete")).toEqual({ changed: 2 });
  expect(await state()).toEqual([]);
  const { data } = await fleet.caller.change.list({ query: "bulk" });
  await fleet.caller.change.undo({ id: data.find(({ action }) => action === "deleted")!.id });
  expect(await state()).toHaveLength(1);
});

test("a program may do no more than its scopes", async () => {
  const { createCaller } = await import("./router.ts");
  const actor = { kind: "token", name: "ci", scopes: ["read"] } as const;
  const reader = createCaller({ services: fleet.api.services, actor, requestId: "req_2" });
  await expect(reader.virtualService.create({ spec: specOf({ name: "x" }) })).rejects.toMatchObject({
    cause: { code: "auth.forbidden" },
  });
  await expect(reader.audit.list({})).rejects.toMatchObject({ cause: { code: "auth.forbidden" } });
  expect((await reader.virtualService.list({})).data.length).toBeGreaterThan(0);
});

test("what is unwise comes with the answer to a write, and with a check that writes nothing", async () => {
  const unwise = specOf({
    name: "db",
    vip: "192.0.2.111",
    port: 5432,
    scheduler: "sh",
    realServers: [{ rip: "192.0.2.11", weight: 0 }],
  });
  const before = await fleet.database.sql("SELECT sequence FROM fleet");
  const checked = await fleet.caller.virtualService.validate({ spec: unwise });
  expect(checked.errors).toEqual([]);
  expect(checked.lint.map(({ code, severity }) => `${severity} ${code}`)).toEqual([
    "warn service.quiesced",
    "warn scheduler.noFallback",
    "info tcp.idleTimeout",
  ]);
  expect(await fleet.database.sql("SELECT sequence FROM fleet")).toEqual(before);
  const written = await fleet.caller.virtualService.create({ spec: unwise });
  expect(written.lint).toEqual(checked.lint);
  await fleet.caller.virtualService.delete({ id: written.id, revision: written.revision });
});
