import { type DirectorServiceFragment, type PlannedDestination, resourceKey } from "@trigon/model";
import type { IpvsConnection } from "@trigon/reconciler";
import { afterEach, beforeEach, expect, test } from "vitest";
import { silentLog } from "../log.ts";
import { directorService, plannedDestination } from "../testing/plans.ts";
import { Drains } from "./drains.ts";

let now = Date.parse("2026-01-01T00:00:00.000Z");
let counts: { active: number; inactive: number; persistent: number };
let out: string[];
let table: IpvsConnection[];
let drains: Drains;
beforeEach(() => {
  counts = { active: 2, inactive: 5, persistent: 1 };
  out = [];
  table = [];
  const none = { connections: 0, inPackets: 0, outPackets: 0, inBytes: 0, outBytes: 0, weight: 0 };
  drains = new Drains({
    counters: async ([service]) => ({
      destinations: new Map([[resourceKey.ipvsDestination(service!, "10.2.0.21", 80), { ...none, ...counts }]]),
    }),
    connections: async () => table,
    onOut: (ids) => out.push(...ids),
    onEvent: () => undefined,
    log: silentLog,
    now: () => now,
    everyMs: 1e9,
  });
});
afterEach(() => drains.close());

const fragment = (destination: Partial<PlannedDestination>, change: Partial<DirectorServiceFragment> = {}) =>
  directorService("v1", {
    name: "web",
    destinations: [plannedDestination("10.2.0.21", { realServerId: "r1", ...destination })],
    ...change,
  });
const stateOf = (answer: DirectorServiceFragment) => answer.destinations[0]!.adminState;
async function lookAfter(seconds: number) {
  now += seconds * 1000;
  await drains.look();
  return drains.report()[0];
}

test("maintenance waits until nothing has been established for a while, then takes the real server out", async () => {
  const planned = fragment({ adminState: "maintenance" });
  expect(stateOf(drains.put(planned))).toBe("maintenance");
  expect(await lookAfter(1)).toMatchObject({
    left: 2,
    active: 2,
    inactive: 5,
    persistent: 1,
    state: "draining",
    etaSeconds: null,
  });
  counts.active = 0;
  expect(await lookAfter(1)).toMatchObject({ left: 0, state: "draining" });
  counts.active = 1;
  await lookAfter(1);
  counts.active = 0;
  await lookAfter(2);
  expect(out).toEqual([]);
  expect(await lookAfter(3)).toMatchObject({ state: "out", etaSeconds: 0 });
  expect(out).toEqual(["ds:v1"]);
  expect(stateOf(drains.put(planned))).toBe("disabled");
  expect(stateOf(drains.put(fragment({})))).toBeUndefined();
  expect(drains.report()).toEqual([]);
});

test("draining alone never takes a real server out, its deadline does", async () => {
  counts.active = 0;
  const until = new Date(now + 60_000).toISOString();
  const planned = fragment({ adminState: "draining", drain: { mode: "activeConnections", until } });
  drains.put(planned);
  await lookAfter(10);
  expect(await lookAfter(10)).toMatchObject({ state: "drained" });
  expect(stateOf(drains.put(planned))).toBe("draining");
  expect(await lookAfter(40)).toMatchObject({ state: "out" });
  expect(stateOf(drains.put(planned))).toBe("disabled");
});

test("templates count where persistence is honoured, and entries without a state count always", async () => {
  drains.put(fragment({ adminState: "draining", drain: { mode: "honourPersistence", until: null } }));
  expect(await lookAfter(1)).toMatchObject({ left: 3 });
  drains.put(fragment({ adminState: "draining" }, { protocol: "udp" }));
  drains.remove("ds:v1");
  drains.put(fragment({ adminState: "draining" }, { protocol: "udp" }));
  expect(await lookAfter(1)).toMatchObject({ left: 7 });
});

test("a deadline that is over when the agent starts holds at once", () => {
  const until = new Date(now - 1).toISOString();
  expect(stateOf(drains.put(fragment({ adminState: "draining", drain: { mode: "activeConnections", until } })))).toBe("disabled");
});

test("what holds a drain up is named", async () => {
  const destination = resourceKey.ipvsDestination(resourceKey.ipvsService("udp", "10.2.0.100", 80), "10.2.0.21", 80);
  table = [{ protocol: "udp", client: "10.1.0.10", clientPort: 53, destination, state: "UDP", expiresInSeconds: 300 }];
  drains.put(fragment({ adminState: "draining" }, { protocol: "udp" }));
  expect(await lookAfter(1)).toMatchObject({ pinned: [{ protocol: "udp", client: "10.1.0.10", clientPort: 53 }] });
  table = [];
  expect(await lookAfter(5)).toMatchObject({ pinned: [{ clientPort: 53 }] });
  expect(await lookAfter(6)).toMatchObject({ pinned: [] });
});

test("taking in one service's plan never settles another service's drain in silence", async () => {
  const until = new Date(now + 5_000).toISOString();
  drains.put(fragment({ adminState: "draining", drain: { mode: "activeConnections", until } }));
  now += 6_000;
  drains.put(fragment({ adminState: "draining", realServerId: "r2" }, { id: "ds:v2", serviceId: "v2" }));
  await drains.look();
  expect(out).toEqual(["ds:v1"]);
});
