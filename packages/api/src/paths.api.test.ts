import { listen } from "@trigon/db";
import { until } from "@trigon/db/testing/test-database";
import type { AgentCounters, ArrivalReport, PathReport } from "@trigon/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readNews } from "./news.ts";
import { createTestFleet, factsOf, type TestAgent, type TestFleet } from "./testing/fleet.ts";

let fleet: TestFleet;
let director: TestAgent;
let server: TestAgent;
beforeAll(async () => {
  fleet = await createTestFleet();
  director = await fleet.enroll("director", factsOf("lb-1", "192.0.2.2"));
  server = await fleet.enroll("realServer", factsOf("rs-1", "192.0.2.11"));
});
afterAll(() => fleet.close());

const count = (agent: TestAgent, more: Partial<AgentCounters>) =>
  agent.api.agents.counters(agent.nodeId, {
    protocol: 1,
    bootId: "boot",
    runId: "run",
    at: new Date().toISOString(),
    services: [],
    replies: [],
    ...more,
  });

test("what both ends of a path say is joined to a verdict, at every replica, and changes nothing else", async () => {
  const { caller } = fleet;
  const { id, realServers } = await caller.virtualService.create({
    spec: {
      name: "web",
      vip: "192.0.2.100",
      port: 80,
      forwarding: "dr",
      realServers: [{ rip: "192.0.2.11" }, { rip: "192.0.2.12" }],
    },
  });
  await until(async () => {
    await server.turn();
    await director.turn();
    return (await caller.virtualService.get({ id })).status.gates.every(({ state }) => state === "open");
  });
  expect(director.fragments.get(`ds:${id}`)).toMatchObject({ provesPaths: true });
  expect(server.fragments.get(`rs:${id}`)).toMatchObject({ probedFrom: ["192.0.2.2"] });
  const states = async () => (await caller.virtualService.paths({ id })).data.map(({ state, cause }) => cause ?? state);
  expect(await states()).toEqual(["none", "none"]);

  const [managed, unmanaged] = realServers;
  const said = (realServerId: string, more: Partial<PathReport>): PathReport => ({
    serviceId: id,
    realServerId,
    outcome: "timeout",
    latencyMs: null,
    large: null,
    sent: 3,
    returned: 0,
    rpFilter: 2,
    agoMs: 500,
    sinceMs: 60_000,
    message: null,
    ...more,
  });
  const seen: ArrivalReport = {
    serviceId: id,
    arrivedAgoMs: 1_000,
    deliveredAgoMs: null,
    answeredAgoMs: null,
    vipBound: false,
    tunnelUp: null,
    tunnelAddressed: null,
    rpFilter: 2,
    listener: "vip",
  };
  await director.fetch();
  await count(director, { paths: [said(managed!.id, {}), said(unmanaged!.id, { outcome: "ok", latencyMs: 1.5, large: true })] });
  expect(await states()).toEqual(["realServer.noWord", "proved"]);
  await count(server, { arrivals: [seen] });
  const { data } = await caller.virtualService.paths({ id });
  expect(data[0]).toMatchObject({ state: "failed", step: "answered", cause: "vip.missing", directorNodeId: director.nodeId });
  expect(data[0]!.message).toContain("192.0.2.11 gets the packets but does not hold 192.0.2.100");
  expect(data[1]).toMatchObject({ state: "proved", cause: null, latencyMs: 1.5, large: true });
  const [counters] = (await caller.virtualService.counters({ serviceIds: [id] })).data;
  expect(counters!.realServers.map(({ path }) => path.state)).toEqual(["failed", "proved"]);
  // It informs: nothing is planned anew for it.
  const plan = await director.fetch();
  expect(plan.fragments).toEqual([]);

  fleet.clock.aheadMs += 120_000;
  expect(await states()).toEqual(["none", "none"]);
});

test("a UDP path whose check asks nothing is told to arrive, which is no failure", async () => {
  const { caller } = fleet;
  const { id, realServers } = await caller.virtualService.create({
    spec: {
      name: "syslog",
      vip: "192.0.2.101",
      protocol: "udp",
      port: 514,
      forwarding: "dr",
      realServers: [{ rip: "192.0.2.11" }],
      health: { check: { kind: "icmp" } },
    },
  });
  await until(async () => {
    await server.turn();
    await director.turn();
    return (await caller.virtualService.get({ id })).status.gates.every(({ state }) => state === "open");
  });
  expect(director.fragments.get(`ds:${id}`)).toMatchObject({ provesPaths: true });
  expect(server.fragments.get(`rs:${id}`)).toMatchObject({ probedFrom: ["192.0.2.2"] });
  const base = { serviceId: id, realServerId: realServers[0]!.id, latencyMs: null, large: null, returned: 0, message: null };
  const times = { agoMs: 8_000, previousAgoMs: 18_000, sinceMs: 60_000 };
  const silent = { ...base, ...times, outcome: "silent", sent: 3, rpFilter: 2 } as const;
  await count(director, { paths: [silent] });
  const judged = async () => {
    const [path] = (await caller.virtualService.paths({ id })).data;
    return { state: path!.state, cause: path!.cause, message: path!.message };
  };
  expect(await judged()).toMatchObject({ state: "none", cause: "realServer.unasked" });
  const end = {
    vipBound: true,
    tunnelUp: null,
    tunnelAddressed: null,
    rpFilter: 2,
    listener: "vip",
    answeredAgoMs: null,
  } as const;
  const arrived = { serviceId: id, arrivedAgoMs: 9_000, deliveredAgoMs: 9_000, acceptedAgoMs: 9_000, ...end };
  await count(server, { arrivals: [arrived] });
  expect(await judged()).toMatchObject({ state: "arrived", cause: "reply.unasked" });
  expect((await judged()).message).toContain("cannot be known without a payload");
  await count(server, { arrivals: [{ ...arrived, acceptedAgoMs: null }] });
  expect(await judged()).toMatchObject({ state: "failed", cause: "realServer.firewall" });
});

test("a real server's hint reaches its director through every replica, and only for what the node serves", async () => {
  const { caller } = fleet;
  const [service] = (await caller.virtualService.list({})).data;
  const told: string[] = [];
  const listener = listen(fleet.database.url, () => undefined, { onNews: (news) => told.push(news) });
  await until(() => listener.isConnected());
  await server.api.agents.hint(server.nodeId, { protocol: 1, serviceIds: [service!.id, "vs_unknown"] });
  await director.api.agents.hint(director.nodeId, { protocol: 1, serviceIds: [service!.id] });
  await until(async () => told.length > 0);
  await listener.close();
  expect(told.map((news) => readNews(news))).toEqual([{ kind: "probe", nodeId: director.nodeId, serviceId: service!.id }]);
});
