import type { ConnectionTable } from "@trigon/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestFleet, specOf, type TestAgent, type TestFleet } from "./testing/fleet.ts";

let fleet: TestFleet;
let replica: TestFleet;
let director: TestAgent;
let id: string;
beforeAll(async () => {
  fleet = await createTestFleet();
  replica = await fleet.replica();
  ({ director } = await fleet.enrollPair());
  ({ id } = await fleet.caller.virtualService.create({ spec: specOf() }));
});
afterAll(async () => {
  await replica.close();
  await fleet.close();
});

const table: ConnectionTable = {
  entries: [
    {
      ...{ client: "198.51.100.7", clientPort: 40_000, realServer: { rip: "192.0.2.11", port: 80 } },
      ...{ state: "ESTABLISHED", expiresInSeconds: 899 },
    },
  ],
  ...{ matched: 1, total: 1, isSample: false },
  realServers: [{ rip: "192.0.2.11", port: 80, connections: 1, templates: 0 }],
  states: [{ state: "ESTABLISHED", count: 1 }],
};
/** The next question that this replica passes on. */
const nextAsked = async (from: TestFleet) => {
  await expect.poll(async () => from.asked.length > 0, { timeout: 5_000 }).toBe(true);
  return from.asked.shift()!;
};
const answer = (by: TestFleet, { id: ask }: { id: string }, body: object, nodeId = director.nodeId) =>
  by.api.agents.answered(nodeId, { protocol: 1, id: ask, ...body });

test("a node that is not connected is not asked", async () => {
  fleet.clock.aheadMs += 3_600_000;
  await expect(fleet.caller.virtualService.connections({ id })).rejects.toThrow(/lb-1 is not connected/);
  fleet.clock.aheadMs = 0;
  expect(fleet.asked).toEqual([]);
});

test("the director that holds the VIP is asked, and its answer is the answer", async () => {
  await director.report({});
  const asking = fleet.caller.virtualService.connections({
    ...{ id, client: "198.51.100.0/24", realServer: "192.0.2.11:80", sort: "-expires", limit: 5 },
  });
  const asked = await nextAsked(fleet);
  expect(asked).toMatchObject({
    nodeId: director.nodeId,
    question: {
      what: "connections",
      service: { protocol: "tcp", vip: "192.0.2.100", port: 80 },
      filter: {
        ...{ client: "198.51.100.0/24", realServer: "192.0.2.11", realServerPort: 80 },
        ...{ sort: { field: "expires", descending: true }, limit: 5 },
      },
    },
  });
  await answer(fleet, asked, { answer: table }, "node_forger0000000"); // not the node that was asked
  await answer(fleet, asked, { answer: table });
  expect(await asking).toMatchObject({ ...table, nodeId: director.nodeId, nodeName: "lb-1" });
});

test("an answer that comes to another replica reaches the one that asked, and nothing of it stays", async () => {
  await expect.poll(async () => replica.api.figures().connectedNodes > 0, { timeout: 5_000 }).toBe(true);
  replica.asked.length = 0;
  const asking = fleet.caller.virtualService.connections({ id });
  const asked = await nextAsked(replica);
  await answer(replica, asked, { answer: { ...table, total: 7 } });
  expect(await asking).toMatchObject({ total: 7 });
  await expect
    .poll(async () => (await fleet.database.sql(`SELECT id FROM "agentAnswer"`)).length === 0, { timeout: 5_000 })
    .toBe(true);
});

test("a node that cannot answer, and one that answers nonsense, are clear errors", async () => {
  const errors = [{ problem: "EACCES" }, { answer: { entries: "many" } }];
  for (const [at, body] of errors.entries()) {
    fleet.asked.length = 0;
    const asking = fleet.caller.virtualService.connections({ id });
    const refused = expect(asking).rejects.toThrow(at === 0 ? /lb-1 could not answer: EACCES/ : /does not understand/);
    await answer(fleet, await nextAsked(fleet), body);
    await refused;
  }
});

test("wrong filters are refused by name", async () => {
  for (const [wrong, name] of [
    [{ client: "here" }, "client"],
    [{ realServer: "10.0.0.1:99999" }, "realServer"],
    [{ sort: "age" }, "sort"],
    [{ limit: 0 }, "limit"],
  ] as const)
    await expect(fleet.caller.virtualService.connections({ id, ...wrong })).rejects.toThrow(name);
  await expect(fleet.caller.virtualService.connections({ id: "vs_none000000000" })).rejects.toThrow(/no virtual service/);
});
