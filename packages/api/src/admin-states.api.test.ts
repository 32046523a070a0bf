import { until } from "@trigon/db/testing/test-database";
import { afterAll, beforeAll, expect, test } from "vitest";
import { everyScope } from "./actor.ts";
import { createRest } from "./rest.ts";
import { createTestFleet, secretKey, type TestAgent, type TestFleet } from "./testing/fleet.ts";

let fleet: TestFleet;
let director: TestAgent;
let server: TestAgent;
let rest: ReturnType<typeof createRest>;
beforeAll(async () => {
  fleet = await createTestFleet();
  ({ director, server } = await fleet.enrollPair());
  rest = createRest({ db: fleet.db, secretKey });
});
afterAll(() => fleet.close());

const actor = { kind: "user", name: "ada", scopes: everyScope } as const;
async function call(method: string, path: string, body?: unknown) {
  const request = new Request(`https://lb.example/api/v1${path}`, {
    method,
    ...(body === undefined ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  });
  const response = await rest(request, { services: fleet.api.services, actor, requestId: "req_admin" });
  const text = await response.text();
  return { status: response.status, body: text === "" ? null : JSON.parse(text) };
}
const rowOf = async (id: string) =>
  (await fleet.database.sql(`SELECT "adminState", drain FROM "realServer" WHERE id = $1`, [id]))[0];
const audited = async (event: string) =>
  fleet.database.sql(`SELECT actor, "objectId", detail FROM "auditEvent" WHERE event = $1 ORDER BY at`, [event]);
const make = (name: string, vip: string) =>
  fleet.caller.virtualService.create({
    spec: { name, vip, port: 80, forwarding: "dr", realServers: [{ rip: "192.0.2.11" }, { rip: "192.0.2.12" }] },
  });

/** The director's destinations of a service, as its plan has them. */
async function destinations(serviceId: string): Promise<{ rip: string; adminState?: string; drain?: object }[]> {
  await director.fetch();
  return (director.fragments.get(`ds:${serviceId}`) as unknown as { destinations: [] }).destinations;
}

test("a real server is drained, disabled and made active again; the director's plan says so, and who did it is on record", async () => {
  const { id, realServers } = await make("web", "192.0.2.100");
  const [one] = realServers;
  await server.turn();
  await until(async () => (await destinations(id)).length === 2);
  const path = `/virtual-services/${id}/real-servers/${one!.id}`;
  const began = Date.now();
  const drained = await call("POST", `${path}/drain`, { mode: "honourPersistence", deadlineSeconds: 600 });
  expect(drained.status).toBe(200);
  const row = await rowOf(one!.id);
  expect(row).toMatchObject({ adminState: "draining", drain: { mode: "honourPersistence" } });
  const { until: deadline } = (row as { drain: { until: string } }).drain;
  expect(Date.parse(deadline) - began).toBeGreaterThanOrEqual(600_000);
  expect(Date.parse(deadline) - began).toBeLessThan(620_000);
  expect(await destinations(id)).toEqual(
    expect.arrayContaining([
      expect.objectContaining({
        rip: "192.0.2.11",
        adminState: "draining",
        drain: { mode: "honourPersistence", until: deadline },
      }),
      expect.not.objectContaining({ adminState: expect.anything() }),
    ]),
  );
  await call("POST", `${path}/drain`, { maintenance: true });
  expect(await rowOf(one!.id)).toEqual({ adminState: "maintenance", drain: { mode: "activeConnections", until: null } });
  await call("POST", `${path}/drain`);
  expect(await rowOf(one!.id)).toMatchObject({ adminState: "draining" });
  await call("POST", `${path}/disable`);
  expect(await rowOf(one!.id)).toEqual({ adminState: "disabled", drain: null });
  await call("POST", `${path}/activate`);
  expect(await rowOf(one!.id)).toEqual({ adminState: "active", drain: null });
  expect(await audited("realServer.adminStateChanged")).toMatchObject(
    [
      ["active", "draining"],
      ["draining", "maintenance"],
      ["maintenance", "draining"],
      ["draining", "disabled"],
      ["disabled", "active"],
    ].map(([from, to]) => ({ actor: "ada", objectId: id, detail: { realServerId: one!.id, from, to } })),
  );
  expect((await call("POST", `/virtual-services/${id}/real-servers/rs_none/drain`)).status).toBe(404);
  expect((await call("POST", `${path}/drain`, { mode: "gently" })).body).toMatchObject({ status: 422, code: "input.invalid" });
});

test("a real server written before admin states were is active", async () => {
  const { id, realServers } = await make("old", "192.0.2.101");
  await fleet.database.sql(`UPDATE "realServer" SET "adminState" = NULL, drain = NULL WHERE "serviceId" = $1`, [id]);
  const replica = await fleet.replica();
  const view = await replica.caller.virtualService.get({ id });
  expect(view.realServers).toMatchObject(realServers.map(() => ({ adminState: "active", drain: null })));
  await replica.close();
});

test("one action puts a node into maintenance everywhere, and one brings back what it put there", async () => {
  const other = await make("shop", "192.0.2.102");
  await call("POST", `/virtual-services/${other.id}/real-servers/${other.realServers[0]!.id}/disable`);
  const states = async () =>
    (await call("GET", `/nodes/${server.nodeId}/real-servers`)).body.data
      .map((one: { serviceName: string; rip: string; adminState: string }) =>
        [one.serviceName, one.rip, one.adminState].join(" "),
      )
      .sort();
  const began = await call("POST", `/nodes/${server.nodeId}/maintenance`, { deadlineSeconds: 60 });
  expect(began.status).toBe(200);
  expect(await states()).toEqual(["old 192.0.2.11 maintenance", "shop 192.0.2.11 disabled", "web 192.0.2.11 maintenance"]);
  expect(await fleet.database.sql(`SELECT DISTINCT "adminState" FROM "realServer" WHERE rip = '192.0.2.12'`)).toEqual([
    { adminState: "active" },
  ]);
  expect((await call("DELETE", `/nodes/${server.nodeId}/maintenance`)).status).toBe(200);
  expect(await states()).toEqual(["old 192.0.2.11 active", "shop 192.0.2.11 disabled", "web 192.0.2.11 active"]);
  expect(await audited("node.maintenanceBegun")).toMatchObject([
    { actor: "ada", objectId: server.nodeId, detail: { realServers: 2 } },
  ]);
  expect(await audited("node.maintenanceEnded")).toMatchObject([
    { actor: "ada", objectId: server.nodeId, detail: { realServers: 2 } },
  ]);
  const refused = await call("POST", `/nodes/${director.nodeId}/maintenance`);
  expect(refused.body).toMatchObject({ status: 409, code: "resource.inUse" });
});

test("an operator opens a gate that waits, and ends a release; both are on record", async () => {
  const { id, realServers } = await make("forced", "192.0.2.103");
  const managed = realServers.find(({ rip }) => rip === "192.0.2.11")!;
  const gates = async () =>
    fleet.database.sql(`SELECT state FROM gate WHERE "serviceId" = $1 AND "realServerId" = $2`, [id, managed.id]);
  const path = `/virtual-services/${id}/gates/${managed.id}/${director.nodeId}`;
  const waiting = await call("GET", `/gates?serviceId=${id}`);
  expect(waiting.body.data.find((gate: { rip: string }) => gate.rip === "192.0.2.11")).toMatchObject({
    state: "waiting",
    reason: expect.stringContaining("rs-1"),
  });
  expect(await destinations(id)).toHaveLength(1);
  const forced = await call("POST", `${path}/force`);
  expect(forced.body).toMatchObject({ serviceId: id, state: "open", reason: null });
  expect(await destinations(id)).toHaveLength(2);
  await director.report();
  await fleet.caller.virtualService.delete({ id, revision: "*" });
  expect(await gates()).toEqual([{ state: "releasing" }]);
  expect((await call("POST", `${path}/forget`)).status).toBe(204);
  expect(await gates()).toEqual([]);
  const named = { realServerId: managed.id, directorNodeId: director.nodeId };
  expect(await audited("gate.forced")).toMatchObject([{ actor: "ada", objectId: id, detail: { ...named, state: "waiting" } }]);
  expect(await audited("gate.forgotten")).toMatchObject([
    { actor: "ada", objectId: id, detail: { ...named, state: "releasing" } },
  ]);
  expect((await call("POST", `${path}/force`)).status).toBe(404);
});
