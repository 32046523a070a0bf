import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FakeKernel } from "@trigon/kernel/testing/fake";
import type { PlanEnvelope } from "@trigon/model";
import { afterEach, beforeEach, expect, test } from "vitest";
import { silentLog } from "../log.ts";
import { type Node, openNode } from "../node.ts";
import { eventually } from "../testing/eventually.ts";
import { directorService, planEnvelope } from "../testing/plans.ts";
import { ReachabilityGuard } from "./reachability.ts";

let directory: string;
let kernel: FakeKernel;
let node: Node | undefined;
let guard: ReachabilityGuard;
/** Of the machine since it booted. */
let clock: number;
let bootId: string;
let isCutOff: boolean;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "trigon-guard-"));
  kernel = new FakeKernel();
  clock = 5_000_000;
  bootId = "boot-1";
  isCutOff = true;
});
afterEach(async () => {
  await crash();
  rmSync(directory, { recursive: true, force: true });
});

/** A node that is not enrolled has no guard of its own: this one is handed in, as an enrolled node's would be. */
async function start(): Promise<Node["loop"]> {
  const file = (name: string) => join(directory, name);
  guard = new ReachabilityGuard({
    path: file("guard.json"),
    bootId,
    log: silentLog,
    now: () => clock,
    isCutOff: async () => isCutOff,
    takeBack: (step, message) => node!.loop.takeBack(step, message),
  });
  node = await openNode({
    paths: {
      state: directory,
      policy: file("policy.yaml"),
      journal: file("journal.log"),
      health: file("health.json"),
      lock: file("agent.lock"),
      socket: file("agent.sock"),
    },
    log: silentLog,
    onChange: () => undefined,
    kernel,
    guard,
  });
  node.loop.start();
  guard.resume(node.loop.position);
  await node.loop.settled();
  return node.loop;
}

/** What kill -9 leaves. */
async function crash(): Promise<void> {
  guard?.close();
  await node?.close();
  node = undefined;
}

/** Lets time pass, and has the guard look. */
function pass(seconds: number): void {
  clock += seconds * 1000;
  guard.resume(node!.loop.position);
}

const services = () => [...kernel.services.values()].map(({ address, scheduler }) => `${address} ${scheduler}`).sort();
const service = (name: string, vip: string, scheduler: "rr" | "lc" = "rr") =>
  directorService(name, { vip, scheduler, hash: `${name} ${vip} ${scheduler}` });
const take = async (generation: number, change: Partial<PlanEnvelope>) => {
  const { verdict } = node!.loop.accept(planEnvelope(generation, { since: generation - 1, ...change }));
  await node!.loop.settled();
  return verdict;
};
const before = ["10.2.0.100 rr", "10.2.0.101 rr"];
const after = ["10.2.0.100 lc", "10.2.0.102 rr"];

/** A plan that changes a service, removes one and brings one, guarded for 30 s. */
async function cutOff(): Promise<void> {
  await start();
  await take(1, { since: null, fragments: [service("a", "10.2.0.100"), service("b", "10.2.0.101")] });
  expect(services()).toEqual(before);
  await take(2, {
    fragments: [service("a", "10.2.0.100", "lc"), service("c", "10.2.0.102")],
    tombstones: ["ds:b"],
    guard: { seconds: 30 },
  });
  expect(services()).toEqual(after);
}
const putBack = () => eventually(() => services().join() === before.join());

test("a node that cut itself off puts back all that the plan changed, and waits for a newer one", async () => {
  await cutOff();
  pass(29);
  expect(services()).toEqual(after);
  pass(1.1);
  await putBack();
  expect(node!.loop.position).toMatchObject({ generation: 1 });
  expect(guard.takenBack).toBe(2);
  expect(node!.loop.takeEvents().at(-1)).toMatchObject({ kind: "plan.refused", message: expect.stringContaining("within 30 s") });

  const same = { fragments: [service("c", "10.2.0.102")] };
  expect(await take(2, same)).toBe("refuse");
  expect(services()).toEqual(before);
  expect(await take(3, { since: 1, ...same })).toBe("accept");
  expect(services()).toEqual([...before, "10.2.0.102 rr"].sort());
  expect(guard.takenBack).toBeNull();
  expect(existsSync(join(directory, "guard.json"))).toBe(false);
});

test("the same one is taken when the controller knows, and insists", async () => {
  await cutOff();
  pass(31);
  await putBack();
  expect(await take(2, { since: 1, insists: true, fragments: [service("c", "10.2.0.102")] })).toBe("accept");
  expect(services()).toContain("10.2.0.102 rr");
});

test("a controller that was reached with the plan keeps it; one that is merely down puts nothing back", async () => {
  await cutOff();
  isCutOff = false;
  pass(31);
  guard.reached(1);
  await new Promise((resolve) => setImmediate(resolve));
  expect(services()).toEqual(after);
  expect(existsSync(join(directory, "guard.json"))).toBe(true);
  guard.reached(2);
  isCutOff = true;
  pass(1000);
  expect(existsSync(join(directory, "guard.json"))).toBe(false);
  expect(services()).toEqual(after);
});

test("a plan that is guarded no more ends it", async () => {
  await cutOff();
  await take(3, { fragments: [service("d", "10.2.0.103")] });
  expect(existsSync(join(directory, "guard.json"))).toBe(false);
});

test("two guarded plans go back together, to before the first", async () => {
  await cutOff();
  pass(20);
  await take(3, { fragments: [service("a", "10.2.0.104"), service("d", "10.2.0.103")], guard: { seconds: 30 } });
  pass(20);
  expect(services()).toContain("10.2.0.103 rr");
  pass(11);
  await putBack();
  expect(node!.loop.position).toMatchObject({ generation: 1 });
});

test("a restarted agent goes on counting; a rebooted one counts anew", async () => {
  await cutOff();
  pass(20);
  await crash();
  clock += 11_000;
  await start();
  await putBack();

  await take(3, { since: 1, fragments: [service("c", "10.2.0.102")], guard: { seconds: 30 } });
  await crash();
  bootId = "boot-2";
  clock = 40_000_000;
  await start();
  pass(29);
  expect(services()).toContain("10.2.0.102 rr");
  pass(2);
  await putBack();
});

test("an agent that ends in the middle of putting back goes on with it", async () => {
  await cutOff();
  const log = readFileSync(join(directory, "plan.log"));
  pass(31);
  await putBack();
  await crash();
  // As if the machine had lost power before the plan before was on the disk.
  rmSync(join(directory, "plan.json"), { force: true });
  writeFileSync(join(directory, "plan.log"), log);
  await start();
  await putBack();
  expect(guard.takenBack).toBe(2);
});
