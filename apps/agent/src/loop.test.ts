import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FakeKernel } from "@trigon/kernel/testing/fake";
import { type PlanEnvelope, resourceKey } from "@trigon/model";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { silentLog } from "./log.ts";
import { loopTimes } from "./loop.ts";
import { type Node, openNode } from "./node.ts";
import type { AgentPaths } from "./paths.ts";
import { defaultPolicy } from "./state/policy.ts";
import { eventually } from "./testing/eventually.ts";
import { directorService, planEnvelope, plannedDestination } from "./testing/plans.ts";
import { uninstall } from "./uninstall.ts";

let directory: string;
let paths: AgentPaths;
let kernel: FakeKernel;
let node: Node | undefined;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "trigon-loop-"));
  paths = {
    state: directory,
    policy: join(directory, "policy.yaml"),
    journal: join(directory, "journal.log"),
    health: join(directory, "health.json"),
    lock: join(directory, "agent.lock"),
    socket: join(directory, "agent.sock"),
  };
  kernel = new FakeKernel();
});
afterEach(async () => {
  await node?.close();
  node = undefined;
  rmSync(directory, { recursive: true, force: true });
});

/** Quick enough that a test need not wait long. */
const times = {
  ...loopTimes,
  sweepTickMs: 10,
  sweepRounds: 3,
  auditMs: 60_000,
  settleMs: 1,
  retryFirstMs: 5,
  heldElsewhereMs: 5,
};

async function start(change: Partial<typeof times> = {}): Promise<Node["loop"]> {
  node = await openNode({ paths, log: silentLog, onChange: () => undefined, kernel, times: { ...times, ...change } });
  node.loop.start();
  await node.loop.settled();
  return node.loop;
}

/** What kill -9 leaves: no closing, and a fresh process on the same disk and kernel. */
async function crash(): Promise<void> {
  await node!.loop.stop();
  node = undefined;
}

const service = (name: string, hash = "1", change: object = {}) =>
  directorService(name, {
    hash,
    vip: `10.2.0.${100 + Number(name.slice(1))}`,
    destinations: [plannedDestination("10.2.0.21", { realServerId: `r_${name}` })],
    ...change,
  });
const vip = (address: string) => ({
  id: `dv:${address}`,
  hash: "1",
  generation: 1,
  kind: "director.vip",
  vip: address,
  heldBy: "agent",
});

let generation = 0;
const plan = (change: Partial<PlanEnvelope>) => planEnvelope(++generation, change);
const many = (count: number) => Array.from({ length: count }, (_, index) => service(`v${index + 1}`));
const serviceKey = (n: number) => resourceKey.ipvsService("tcp", `10.2.0.${100 + n}`, 80);
const kinds = (loop: Node["loop"]) => loop.takeEvents().map(({ kind }) => kind);

test("a plan taken in with its bytes is there after a crash, and so is what a whole plan left out", async () => {
  const loop = await start();
  const take = (change: Partial<PlanEnvelope>) => {
    const sent = plan(change);
    return loop.accept(sent, [Buffer.from(JSON.stringify(sent))]).verdict;
  };
  expect(take({ fragments: many(3) })).toBe("accept");
  await loop.settled();
  expect(take({ fragments: [...many(2), service("v4")] })).toBe("accept");
  await loop.settled();
  await crash();
  const again = await start();
  expect([...again.states.keys()].toSorted()).toEqual(["ds:v1", "ds:v2", "ds:v4"]);
  expect([...kernel.services.keys()].toSorted()).toEqual([1, 2, 4].map(serviceKey));
});

test("a plan is carried out, and is there again after a crash with no controller", async () => {
  const loop = await start();
  expect(loop.accept(plan({ fragments: [...many(2), vip("10.2.0.101")] })).verdict).toBe("accept");
  await loop.settled();
  expect([...loop.states.values()].map(({ state }) => state)).toEqual(["applied", "applied", "applied"]);
  expect([...kernel.services.keys()]).toEqual([serviceKey(1), serviceKey(2)]);
  expect(kernel.announced).toEqual(["eth0 10.2.0.101"]);
  await crash();

  kernel.services.delete(serviceKey(1));
  kernel.reboot("00000000-0000-4000-8000-000000000002");
  const again = await start();
  expect([...kernel.services.keys()].sort()).toEqual([serviceKey(1), serviceKey(2)]);
  expect([...again.states.values()].every(({ state }) => state === "applied")).toBe(true);
});

test("a change touches its own keys only, however many services there are", async () => {
  // The sweep would read beside the change that is measured.
  const loop = await start({ sweepTickMs: 60_000 });
  loop.accept(plan({ fragments: many(200) }));
  await loop.settled();
  kernel.reads.keys = 0;
  kernel.applied.length = 0;
  const since = generation;
  loop.accept(plan({ since, fragments: [service("v7", "2", { scheduler: "wrr" })] }));
  await loop.settled();
  expect(kernel.applied.map(({ op }) => op)).toContain("update");
  expect(kernel.reads.keys).toBeLessThan(40);
});
test("what was accepted but not carried out before a crash is carried out after it", async () => {
  const loop = await start();
  kernel.beforeAction = () => {
    throw new Error("power cut");
  };
  loop.accept(plan({ fragments: many(1) }));
  await eventually(() => kinds(loop).includes("action.failed"));
  await crash();
  expect(readFileSync(paths.journal, "utf8")).toContain(serviceKey(1));
  expect(kernel.services.size).toBe(0);
  kernel.beforeAction = undefined;
  await start();
  expect(kernel.services.size).toBe(1);
});

test("a journal cut short by the crash is no obstacle", async () => {
  const loop = await start();
  loop.accept(plan({ fragments: many(1) }));
  await loop.settled();
  await crash();
  appendFileSync(paths.journal, '{"op":"claim","bootId":"x","ke');
  const again = await start();
  expect([...again.states.values()].map(({ state }) => state)).toEqual(["applied"]);
});

test("a removal that the crash cut off is finished after it", async () => {
  const loop = await start();
  loop.accept(plan({ fragments: many(2) }));
  await loop.settled();
  kernel.beforeAction = () => {
    throw new Error("power cut");
  };
  loop.accept(plan({ since: generation, tombstones: ["ds:v1"] }));
  await eventually(() => kinds(loop).includes("action.failed"));
  expect(loop.reached?.generation).toBe(generation - 1);
  await crash();
  kernel.beforeAction = undefined;
  const again = await start();
  expect([...kernel.services.keys()]).toEqual([serviceKey(2)]);
  expect(again.reached?.generation).toBe(generation);
});

test("an unreadable cache holds the kernel as it is, and a whole plan makes it good", async () => {
  const loop = await start();
  loop.accept(plan({ fragments: many(5) }));
  await loop.settled();
  await crash();
  writeFileSync(join(directory, "plan.log"), "\0\0\0\n");
  kernel.applied.length = 0;
  const held = await start();
  expect(held.hold).toMatchObject({ reason: "cache.unreadable" });
  expect(kernel.services.size).toBe(5);
  expect(kernel.applied).toEqual([]);
  expect(kinds(held)).toContain("plan.refused");

  expect(held.accept(plan({ since: 3 })).verdict).toBe("gap");
  expect(held.accept(plan({ fragments: many(1) }))).toMatchObject({ verdict: "refuse", reason: "plan.massRemoval" });
  expect(kernel.services.size).toBe(5);
  expect(held.accept(plan({ fragments: many(4) })).verdict).toBe("accept");
  await held.settled();
  expect(kernel.services.size).toBe(4);
  expect(held.hold).toBeNull();
});

test("an unreadable policy refuses every change until it can be read again", async () => {
  const loop = await start();
  loop.accept(plan({ fragments: many(1) }));
  await loop.settled();
  await crash();
  writeFileSync(paths.policy, "vips: [");
  const held = await start();
  expect(held.accept(plan({ fragments: many(2) }))).toMatchObject({ verdict: "held", hold: { reason: "policy.unreadable" } });
  await held.settled();
  expect(kernel.services.size).toBe(1);
  held.replacePolicy(defaultPolicy);
  expect(held.accept(plan({ fragments: many(2) })).verdict).toBe("accept");
  await held.settled();
  expect(kernel.services.size).toBe(2);
});

test("a VIP that the policy does not accept fails alone", async () => {
  writeFileSync(paths.policy, "vips: [10.2.0.101/32]\n");
  const loop = await start();
  loop.accept(plan({ fragments: many(2) }));
  await loop.settled();
  expect(loop.states.get("ds:v1")).toMatchObject({ state: "applied" });
  expect(loop.states.get("ds:v2")).toMatchObject({ state: "failed", reason: "policy.refused" });
  expect([...kernel.services.keys()]).toEqual([serviceKey(1)]);
});

test("one failing action fails its own fragment, and is tried again", async () => {
  const loop = await start();
  kernel.failures.set(serviceKey(1), { code: "EPERM", message: "Could not add it: EPERM" });
  loop.accept(plan({ fragments: many(2) }));
  await loop.settled();
  expect(loop.states.get("ds:v1")).toMatchObject({ state: "failed", reason: "EPERM" });
  expect(loop.states.get("ds:v2")).toMatchObject({ state: "applied" });
  kernel.failures.clear();
  await eventually(() => loop.states.get("ds:v1")?.state === "applied");
  expect(kinds(loop)).toContain("action.failed");
});

test("a VIP that somebody else holds is not bound, is said, and is bound when it is free", async () => {
  const loop = await start();
  kernel.holders.set("10.2.0.101", ["02:00:00:00:00:77"]);
  loop.accept(plan({ fragments: [service("v1"), vip("10.2.0.101")] }));
  await loop.settled();
  expect(loop.states.get("dv:10.2.0.101")).toMatchObject({ state: "waiting", reason: "vip.heldElsewhere" });
  expect(kinds(loop)).toContain("vip.heldElsewhere");
  kernel.holders.clear();
  await eventually(() => loop.states.get("dv:10.2.0.101")?.state === "applied");
});

test("a fragment of an unknown kind deletes nothing, in this run and after a restart", async () => {
  const loop = await start();
  loop.accept(plan({ fragments: many(2) }));
  await loop.settled();
  loop.accept(plan({ since: generation, fragments: [{ ...service("v1", "9"), kind: "director.quantum" }] }));
  await loop.settled();
  expect(loop.states.get("ds:v1")).toMatchObject({ hash: "9", state: "unsupported" });
  expect(kernel.services.has(serviceKey(1))).toBe(true);
  await crash();
  const again = await start();
  expect(again.states.get("ds:v1")).toMatchObject({ state: "unsupported" });
  expect(kernel.services.has(serviceKey(1))).toBe(true);
  again.accept(plan({ since: generation, tombstones: ["ds:v1"] }));
  await again.settled();
  await eventually(() => !kernel.services.has(serviceKey(1)));
});

test("a fragment of the wrong shape fails with the field's name and keeps what it was", async () => {
  const loop = await start();
  loop.accept(plan({ fragments: many(1) }));
  await loop.settled();
  loop.accept(plan({ since: generation, fragments: [service("v1", "2", { port: "eighty" })] }));
  await loop.settled();
  expect(loop.states.get("ds:v1")).toMatchObject({
    state: "failed",
    reason: "fragment.invalid",
    message: expect.stringMatching(/^port/),
  });
  expect(kernel.services.has(serviceKey(1))).toBe(true);
});

test("a controller that forgot everything removes nothing", async () => {
  const loop = await start();
  loop.accept(plan({ fragments: many(5) }));
  await loop.settled();
  for (const forgetful of [
    plan({}),
    plan({ fleetId: "fleet_2" }),
    plan({ observeOnly: true }),
    plan({ generation: 0 }),
    plan({ epoch: 0 }),
  ])
    expect(loop.accept(forgetful).verdict).toBe("refuse");
  await loop.settled();
  expect(kernel.services.size).toBe(5);
  expect(kinds(loop).filter((kind) => kind === "plan.refused")).toHaveLength(5);
});

test("drift is found within a round of the sweep, put right and said", async () => {
  const loop = await start();
  loop.accept(plan({ fragments: many(3) }));
  await loop.settled();
  loop.takeEvents();
  kernel.services.delete(serviceKey(2));
  kernel.sysctls.set("net/ipv4/vs/expire_nodest_conn", "1");
  await eventually(() => kernel.services.has(serviceKey(2)) && kernel.sysctls.get("net/ipv4/vs/expire_nodest_conn") === "0");
  await eventually(() => kinds(loop).includes("drift.repaired"));
});

test("settings of a large table are read as often as their share allows, and at least every so often", async () => {
  // Everything counts as large, and one slice is all that comes before the next sweep.
  const large = { sweepQuickKeys: 0, sweepShare: 1e-6, pollShare: 1e-9, pollMostMs: 150 };
  const loop = await start(large);
  loop.accept(plan({ fragments: many(3) }));
  await loop.settled();
  const setting = "net/ipv4/vs/expire_nodest_conn";
  for (let round = 0; round < 2; round++) {
    kernel.sysctls.set(setting, "1");
    await eventually(() => kernel.sysctls.get(setting) === "0");
  }
  const [before, began] = [kernel.reads.observe, performance.now()];
  await eventually(() => performance.now() - began > 600);
  // Sixty ticks: with a poll at each of them there would be as many looks.
  expect(kernel.reads.observe - before).toBeLessThan(20);
});

test("of a table so large that slices cost a multiple, drift is found by the look at everything, within the stated bound", async () => {
  const loop = await start({
    sweepQuickKeys: 0,
    sweepWholeKeys: 1,
    auditMs: 80,
    sweepShare: 1e-9,
    auditMostMs: 50,
    sweepMostMs: 100,
  });
  loop.accept(plan({ fragments: many(3) }));
  await loop.settled();
  for (let round = 0; round < 2; round++) {
    kernel.services.delete(serviceKey(2));
    await eventually(() => kernel.services.has(serviceKey(2)));
  }
  expect(loop.sweepBoundMs).toBeLessThanOrEqual(100 + times.sweepTickMs);
  expect(kernel.reads.observeAll).toBeGreaterThan(2);
});

test("an address taken away is put back as soon as the kernel tells", async () => {
  const loop = await start();
  loop.accept(plan({ fragments: [service("v1"), vip("10.2.0.101")] }));
  await loop.settled();
  const key = resourceKey.address("eth0", "10.2.0.101", 32);
  kernel.addresses.delete(key);
  kernel.emit({ scope: "address", keys: [key] });
  await eventually(() => kernel.addresses.has(key));
});

test("VIPs of a link that was down are announced again when packets pass it, and it is said since when", async () => {
  const loop = await start();
  loop.accept(plan({ fragments: [service("v1"), vip("10.2.0.101")] }));
  await loop.settled();
  kernel.announced.length = 0;
  loop.takeEvents();
  const tell = (name: string, isRunning: boolean) => kernel.emit({ scope: "link", keys: [], link: { name, isRunning } });
  tell("eth1", false); // holds none
  tell("eth0", true); // was never down
  tell("eth0", false);
  tell("eth0", false); // the kernel says it more than once
  await loop.settled();
  expect(kernel.announced).toEqual([]);
  const downAt = Date.now();
  tell("eth1", true);
  tell("eth0", true);
  tell("eth0", true);
  await eventually(() => kernel.announced.length > 0);
  await loop.settled();
  expect(kernel.announced).toEqual(["eth0 10.2.0.101"]);
  const events = loop.takeEvents();
  expect(events.map(({ kind, key }) => `${kind} ${key}`)).toEqual(["drift.found link eth0", "drift.repaired link eth0"]);
  for (const { at } of events) expect(Math.abs(Date.parse(at) - downAt)).toBeLessThan(1_000);
});

test("foreign services are shown and left alone", async () => {
  kernel.modules.add("ip_vs");
  const foreign = resourceKey.ipvsService("tcp", "192.0.2.99", 8080);
  kernel.services.set(foreign, {
    kind: "ipvsService",
    key: foreign,
    protocol: "tcp",
    address: "192.0.2.99",
    port: 8080,
    scheduler: "rr",
    flags: [],
    timeoutSeconds: 0,
    netmask: 32,
  });
  const loop = await start();
  loop.accept(plan({ fragments: many(1) }));
  await loop.settled();
  expect(loop.foreign.map(({ key }) => key)).toEqual([foreign]);
  await node!.close();
  node = undefined;
  await uninstall(paths, { keepFiles: false, kernel });
  expect([...kernel.services.keys()]).toEqual([foreign]);
});

describe("a foreign service that an operator gave over", () => {
  const key = serviceKey(1);
  const stand = () => {
    kernel.modules.add("ip_vs");
    const common = {
      protocol: "tcp",
      address: "10.2.0.101",
      port: 80,
      scheduler: "rr",
      flags: [],
      timeoutSeconds: 0,
      netmask: 32,
    } as const;
    kernel.services.set(key, { kind: "ipvsService", key, ...common });
    const destination = `${resourceKey.ipvsDestinationsOf(key)}10.2.0.21 80`;
    kernel.destinations.set(destination, {
      ...({
        kind: "ipvsDestination",
        key: destination,
        service: key,
        address: "10.2.0.21",
        port: 80,
        forward: "droute",
      } as const),
      ...({ weight: 1, upperThreshold: 0, lowerThreshold: 0, tunnelType: "ipip" } as const),
    });
  };

  test("is adopted as it stands, and only when it stands as planned", async () => {
    stand();
    const loop = await start();
    loop.accept(plan({ fragments: [service("v1", "1", { destinations: [] })] }));
    await loop.settled();
    loop.settleForeign({ adopt: [key], remove: [] });
    await loop.settled();
    expect([node!.ledger.owns(key), kernel.destinations.size]).toEqual([false, 1]);
    loop.accept(plan({ fragments: [service("v1", "2")] }));
    await loop.settled();
    const calls = kernel.applied.length;
    loop.settleForeign({ adopt: [key], remove: [] });
    await loop.settled();
    expect([node!.ledger.owns(key), kernel.destinations.size, kernel.applied.length]).toEqual([true, 1, calls]);
    loop.accept(plan({ fragments: [], allowMassRemoval: true }));
    await loop.settled();
    expect(kernel.services.size).toBe(0);
  });

  test("is removed, and one that the plan wants is not", async () => {
    stand();
    const loop = await start();
    loop.accept(plan({ fragments: [service("v2")] }));
    await loop.settled();
    loop.settleForeign({ adopt: [], remove: [key, serviceKey(2)] });
    await loop.settled();
    expect([...kernel.services.keys()]).toEqual([serviceKey(2)]);
    expect(loop.foreign).toEqual([]);
  });

  test("at a VIP of ours keeps that VIP open", async () => {
    stand();
    const loop = await start();
    const closed = () => [...loop.desired.keys()].some((one) => one.includes("vip-closed"));
    loop.accept(plan({ fragments: [{ ...vip("10.2.0.101"), ping: true }] }));
    await eventually(() => loop.states.get("dv:10.2.0.101")?.state === "applied");
    await loop.settled();
    expect(closed()).toBe(false);
    loop.settleForeign({ adopt: [], remove: [key] });
    await loop.settled();
    await eventually(closed);
  });
});

test("uninstall takes out what Trigon made, puts settings back, and forgets nothing it could not remove", async () => {
  const sysctls = new Map(kernel.sysctls);
  const loop = await start();
  loop.accept(plan({ fragments: [service("v1"), vip("10.2.0.101")] }));
  await loop.settled();
  await node!.close();
  node = undefined;
  const key = resourceKey.address("eth0", "10.2.0.101", 32);
  kernel.failures.set(key, { code: "EBUSY", message: "busy" });
  expect((await uninstall(paths, { keepFiles: true, kernel })).left).toHaveLength(1);
  kernel.failures.clear();
  expect((await uninstall(paths, { keepFiles: true, kernel })).left).toEqual([]);
  expect(kernel.services.size + kernel.destinations.size).toBe(0);
  expect(kernel.addresses.has(key)).toBe(false);
  for (const [path, value] of sysctls) expect([path, kernel.sysctls.get(path)]).toEqual([path, value]);
});
