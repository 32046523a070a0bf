import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { PlanCache, PlanCacheUnreadable, readPlanCache } from "./plan-cache.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "trigon-plan-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const fragment = (id: string, hash: string, generation: number) => ({
  id,
  hash,
  generation,
  kind: "director.vip",
  vip: "192.0.2.1",
});
const step = (generation: number, fragments: ReturnType<typeof fragment>[], tombstones: string[] = []) => ({
  fleetId: "fleet_1",
  epoch: 1,
  generation,
  nodeId: "node_1",
  fragments,
  tombstones,
});
const ids = () => [...readPlanCache(directory).fragments.keys()];

test("a node without a plan has no position and no fragments", () => {
  expect(readPlanCache(directory)).toEqual({ position: null, fragments: new Map() });
});

test("a step is kept as the bytes it came in, whatever else they say", () => {
  const cache = PlanCache.open(directory);
  const sent = { protocol: 1, since: null, ...step(1, [fragment("a", "1", 1)]), observeOnly: false };
  const json = Buffer.from(JSON.stringify(sent));
  cache.accept(step(1, [fragment("a", "1", 1)]), [json.subarray(0, 50), json.subarray(50)]);
  cache.accept(step(2, [fragment("b", "2", 2)]));
  expect(ids()).toEqual(["a", "b"]);
  expect(readPlanCache(directory).position).toEqual({ fleetId: "fleet_1", epoch: 1, generation: 2, nodeId: "node_1" });
  expect(readFileSync(join(directory, "plan.log"), "utf8").split("\n")[0]).toBe(JSON.stringify(sent));
  expect(() => cache.accept(step(3, []), [Buffer.from(JSON.stringify(sent, null, 2))])).toThrow("one line");
});

test("accepted steps are there after a restart, compacted or not", () => {
  const cache = PlanCache.open(directory);
  cache.accept(step(1, [fragment("a", "1", 1), fragment("b", "1", 1)]));
  cache.accept(step(2, [fragment("c", "2", 2)], ["a"]));
  const before = readPlanCache(directory);
  expect([...before.fragments.keys()]).toEqual(["b", "c"]);
  cache.compact(true);
  expect(readPlanCache(directory)).toEqual(before);
  cache.accept(step(3, [fragment("b", "3", 3)]));
  expect(readPlanCache(directory).position).toMatchObject({ generation: 3 });
});

test("one change at a thousand services appends one line", () => {
  const cache = PlanCache.open(directory);
  cache.accept(
    step(
      1,
      Array.from({ length: 1000 }, (_, index) => fragment(`f${index}`, "1", 1)),
    ),
  );
  cache.compact(true);
  cache.accept(step(2, [fragment("f7", "2", 2)]));
  expect(readFileSync(join(directory, "plan.log"), "utf8").length).toBeLessThan(300);
});

test("a crash between snapshot and log leaves the same plan", () => {
  const cache = PlanCache.open(directory);
  cache.accept(step(1, [fragment("a", "1", 1)]));
  cache.accept(step(2, [fragment("b", "1", 2)], ["a"]));
  const log = readFileSync(join(directory, "plan.log"));
  cache.compact(true);
  writeFileSync(join(directory, "plan.log"), log);
  expect(ids()).toEqual(["b"]);
});

test("a step cut short by a crash was never accepted", () => {
  const cache = PlanCache.open(directory);
  cache.accept(step(1, [fragment("a", "1", 1)]));
  cache.close();
  writeFileSync(join(directory, "plan.log"), `${readFileSync(join(directory, "plan.log"), "utf8")}{"fleetId":"fle`);
  expect(PlanCache.open(directory).position).toMatchObject({ generation: 1 });
});

test.each([
  ["plan.json", "{"],
  ["plan.json", '{"format":2,"fragments":[]}'],
  ["plan.json", ""],
  ["plan.log", "garbage\n"],
  ["plan.log", '{"generation":"seven"}\n'],
])("a %s that reads %j is unreadable, never an empty plan", (name, text) => {
  writeFileSync(join(directory, name), text);
  expect(() => PlanCache.open(directory)).toThrow(PlanCacheUnreadable);
});
