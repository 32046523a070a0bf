import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestFleet, specOf, type TestAgent, type TestFleet } from "./testing/fleet.ts";

let fleet: TestFleet;
let director: TestAgent;
let id: string;
beforeAll(async () => {
  fleet = await createTestFleet();
  ({ director } = await fleet.enrollPair());
  ({ id } = await fleet.caller.virtualService.create({ spec: specOf() }));
});
afterAll(() => fleet.close());

const list = (input: object = {}) => fleet.caller.event.list(input);
const kinds = async (input: object = {}) => (await list(input)).data.map(({ kind }) => kind);

test("what a node found and what somebody did stand in one list, newest first", async () => {
  const later = (ms: number) => new Date(Date.now() + ms).toISOString();
  const key = "ipvsDestination tcp 192.0.2.100 80 > 192.0.2.11 80";
  await director.report({
    events: [
      { at: later(1_000), kind: "drift.found", key, message: "weight 9, wanted 1" },
      { at: later(2_000), kind: "agent.started", key: null, message: "1.0.0" },
    ],
  });
  const { data } = await list();
  expect(data.map(({ at }) => at)).toEqual(
    data
      .map(({ at }) => at)
      .toSorted()
      .reverse(),
  );
  expect(data.slice(0, 2)).toMatchObject([
    { kind: "agent.started", source: "node", objectId: director.nodeId, objectName: "lb-1", actor: null },
    { kind: "drift.found", objectId: id, objectName: "web", message: "lb-1: weight 9, wanted 1" },
  ]);
  expect(data.find(({ kind }) => kind === "virtualService.created")).toMatchObject({ actor: "ada", objectName: "web" });
  expect(new Set(data.map((event) => event.id)).size).toBe(data.length);
});

test("they are chosen by topic and object", async () => {
  expect(await kinds({ topic: "drift" })).toEqual(["drift.found"]);
  expect(await kinds({ object: id })).toEqual(expect.arrayContaining(["drift.found", "virtualService.created"]));
  expect(await kinds({ object: director.nodeId, topic: "nodes" })).toEqual(
    expect.arrayContaining(["agent.started", "node.enrolled"]),
  );
  expect((await kinds({ object: director.nodeId })).filter((kind) => kind.startsWith("virtualService"))).toEqual([]);
  expect(await kinds({ topic: "access" })).toEqual([]);
});

test("pages of few lead through all of them, each once, also through what one write did to many", async () => {
  const ids: string[] = [];
  for (const port of [81, 82, 83, 84, 85])
    ids.push((await fleet.caller.virtualService.create({ spec: specOf({ name: `many ${port}`, port }) })).id);
  await fleet.caller.virtualService.bulk({ spec: { action: "delete", ids } });
  const all = await kinds({ limit: 500 });
  const seen: string[] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page: Awaited<ReturnType<typeof list>> = await list({ limit: 2, ...(cursor ? { cursor } : {}) });
    seen.push(...page.data.map(({ kind }) => kind));
    cursor = page.nextCursor;
  }
  expect(seen.toSorted()).toEqual(all.toSorted());
});
