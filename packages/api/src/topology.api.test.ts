import { until } from "@trigon/db/testing/test-database";
import type { AgentCounters } from "@trigon/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { everyScope } from "./actor.ts";
import { createRest } from "./rest.ts";
import { createTestFleet, requestId, secretKey, specOf, type TestAgent, type TestFleet } from "./testing/fleet.ts";

let fleet: TestFleet;
let director: TestAgent;
let server: TestAgent;
let webId: string;
beforeAll(async () => {
  fleet = await createTestFleet();
  ({ director, server } = await fleet.enrollPair());
  const web = specOf({ realServers: [{ rip: "192.0.2.11" }, { rip: "198.51.100.7", forwarding: "tun" }] });
  webId = (await fleet.caller.virtualService.create({ spec: web })).id;
  await fleet.caller.virtualService.create({
    spec: specOf({ name: "mail", vip: "192.0.2.101", port: 25, forwarding: "nat", enabled: false }),
  });
});
afterAll(() => fleet.close());

const counters = (service: Partial<AgentCounters>): AgentCounters => ({
  ...{ protocol: 1, bootId: "b", runId: "r", at: new Date().toISOString(), services: [], replies: [] },
  ...service,
});
const rips = (hits: readonly { kind: string; address: string | null; name: string }[]) =>
  hits.map(({ kind, name, address }) => `${kind} ${name} ${address}`);

test("the picture says who sends to whom and what stands in the way, and follows what agents say", async () => {
  const { caller } = fleet;
  const before = await caller.topology.get({});
  expect(before.services.map(({ name, directorNodeId }) => [name, directorNodeId])).toEqual([
    ["mail", director.nodeId],
    ["web", director.nodeId],
  ]);
  expect(before.directors).toMatchObject([{ name: "lb-1", isActive: true, addresses: ["192.0.2.2"] }]);
  const way = async (rip: string, serviceId = webId) =>
    (await caller.topology.get({})).links.find((link) => link.rip === rip && link.serviceId === serviceId)!;
  expect(await way("192.0.2.11")).toMatchObject({
    ...{ state: "broken", reason: "gate.waiting", nodeName: "rs-1", forwarding: "dr" },
  });
  expect(before.links.find(({ serviceId }) => serviceId !== webId)).toMatchObject({ state: "idle", reason: "service.disabled" });

  await until(async () => {
    await server.turn();
    await director.turn();
    return (await way("192.0.2.11")).state === "serving";
  });
  expect(await way("198.51.100.7")).toMatchObject({ forwarding: "tun", nodeId: null, state: "serving" });

  const realServerId = (await way("192.0.2.11")).realServerId;
  const count = (connections: number) => ({ connections, inPackets: 0, outPackets: 0, inBytes: connections * 100, outBytes: 0 });
  const said = (connections: number) => ({
    serviceId: webId,
    counters: count(connections),
    destinations: [{ realServerId, active: 3, inactive: 1, persistent: 0, weight: 1, counters: count(connections) }],
  });
  await fleet.api.agents.counters(director.nodeId, counters({ services: [said(10)] }));
  await fleet.api.agents.counters(server.nodeId, counters({ replies: [{ serviceId: webId, packets: 1, bytes: 1_000 }] }));
  fleet.clock.aheadMs += 10_000;
  await fleet.api.agents.counters(director.nodeId, counters({ services: [said(30)] }));
  await fleet.api.agents.counters(server.nodeId, counters({ replies: [{ serviceId: webId, packets: 9, bytes: 9_000 }] }));
  const link = await way("192.0.2.11");
  expect(link.active).toBe(3);
  expect(link.connectionsPerSecond).toBeCloseTo(2, 0);
  expect(link.requestBytesPerSecond).toBeCloseTo(200, -1);
  expect(link.replyBytesPerSecond).toBeCloseTo(800, -1);

  const [fragment] = [...server.fragments.values()];
  await server.report({
    fragments: [{ id: fragment!.id, hash: fragment!.hash, state: "failed", reason: "x", message: "no such device" }],
  });
  expect(await way("192.0.2.11")).toMatchObject({ state: "broken", reason: "sync.failed", message: "rs-1: no such device" });
});

test("a filter and a service cut the picture, and REST serves it", async () => {
  const { caller, api, db } = fleet;
  const names = async (input: Parameters<typeof caller.topology.get>[0]) =>
    (await caller.topology.get(input)).services.map(({ name }) => name);
  expect(await names({ query: "198.51.100.7" })).toEqual(["web"]);
  expect(await names({ query: "192.0.2.101" })).toEqual(["mail"]);
  expect(await names({ serviceId: webId })).toEqual(["web"]);
  expect(await caller.topology.get({ query: "nothing such" })).toEqual({ services: [], directors: [], links: [], total: 0 });
  const actor = { kind: "token", name: "t", scopes: everyScope } as const;
  const answer = await createRest({ db, secretKey })(new Request("https://x/api/v1/topology?query=mail"), {
    services: api.services,
    actor,
    requestId,
  });
  expect(answer.status).toBe(200);
  expect(await answer.json()).toMatchObject({ total: 1, services: [{ name: "mail" }] });
});

test("who uses an address is found, whatever it is to whom", async () => {
  const find = async (q: string) => (await fleet.caller.search.find({ q })).data;
  expect(rips(await find("who uses 192.0.2.11?"))).toEqual([
    "realServer mail 192.0.2.11:25",
    "node rs-1 192.0.2.11",
    "realServer web 192.0.2.11:80",
  ]);
  expect(rips(await find("192.0.2.100"))).toEqual(["virtualService web 192.0.2.100:80"]);
  expect(rips(await find("192.0.2.11:80"))).toEqual(["realServer web 192.0.2.11:80"]);
  expect(rips(await find("198.51.100.0/24"))).toEqual(["realServer web 198.51.100.7:80"]);
  expect(rips(await find("lb"))).toEqual(["node lb-1 192.0.2.2"]);
  expect((await find("198.51.1")).map(({ kind }) => kind)).toEqual(["realServer"]);
  expect(await find("no such thing")).toEqual([]);
  const [change] = await fleet.database.sql<{ id: string }>(`SELECT id FROM change WHERE "objectId" = '${webId}'`);
  expect(await find(change!.id)).toMatchObject([{ kind: "change", name: "web" }]);
  const answer = await createRest({ db: fleet.db, secretKey })(new Request("https://x/api/v1/search?q=web&limit=1"), {
    services: fleet.api.services,
    actor: { kind: "token", name: "t", scopes: ["read"] },
    requestId,
  });
  expect(await answer.json()).toMatchObject({ address: null, data: [{ kind: "virtualService", name: "web" }] });
});
