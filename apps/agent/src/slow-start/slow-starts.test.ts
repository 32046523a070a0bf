import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DirectorServiceFragment } from "@trigon/model";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { silentLog } from "../log.ts";
import { directorService, plannedDestination } from "../testing/plans.ts";
import { SlowStarts } from "./slow-starts.ts";

let stepped: string[];
let slow: SlowStarts;
beforeEach(() => {
  vi.useFakeTimers({ now: 0, toFake: ["setTimeout", "clearTimeout", "Date"] });
  stepped = [];
  slow = new SlowStarts({ onStep: (ids) => stepped.push(...ids), now: Date.now });
});
afterEach(() => {
  slow.close();
  vi.useRealTimers();
});

const service = (change: Partial<DirectorServiceFragment> = {}) =>
  directorService("v1", {
    scheduler: "wlc",
    slowStartSeconds: 20,
    destinations: ["a", "b"].map((rip) => plannedDestination(rip, { weight: 100 })),
    ...change,
  });
const down = (...ids: string[]) => ({ mode: "normal" as const, out: new Set(ids.map((id) => `rs_${id}`)) });
const weights = (answer: DirectorServiceFragment) => answer.destinations.map(({ weight }) => weight);

test("the first look sets nobody back; who comes up after down takes its weight in ten steps", () => {
  expect(weights(slow.put(service(), undefined))).toEqual([100, 100]);
  slow.put(service(), down("b"));
  const seen = [weights(slow.put(service(), down()))];
  for (let step = 0; step < 9; step++) {
    vi.advanceTimersByTime(2_001);
    expect(stepped.splice(0)).toEqual(["ds:v1"]);
    seen.push(weights(slow.put(service(), down())));
  }
  expect(seen).toEqual([10, 20, 30, 40, 50, 60, 70, 80, 90, 100].map((weight) => [100, weight]));
  vi.advanceTimersByTime(60_000);
  expect(stepped).toEqual([]);
});

test("a look in between changes nothing, another fall begins the ramp anew, and so does maintenance", () => {
  slow.put(service(), down("b"));
  slow.put(service(), down());
  vi.advanceTimersByTime(7_000);
  expect(weights(slow.put(service(), down()))).toEqual([100, 40]);
  slow.put(service(), down("b"));
  expect(weights(slow.put(service(), down()))).toEqual([100, 10]);
  vi.advanceTimersByTime(30_000);
  expect(weights(slow.put(service(), down()))).toEqual([100, 100]);
  const [a, b] = service().destinations;
  slow.put(service({ destinations: [{ ...a!, adminState: "maintenance" }, b!] }), undefined);
  expect(weights(slow.put(service(), undefined))).toEqual([10, 100]);
});

test("off, or with a scheduler that does not weigh, weights are as planned", () => {
  for (const change of [{ slowStartSeconds: 0 }, { slowStartSeconds: undefined }, { scheduler: "mh" as const }]) {
    slow.put(service(change), down("b"));
    expect(weights(slow.put(service(change), down()))).toEqual([100, 100]);
  }
});

test("a restarted agent goes on from where the last one was; after a reboot everyone has its weight", () => {
  const directory = mkdtempSync(join(tmpdir(), "trigon-slow-"));
  const start = (bootId: string) =>
    new SlowStarts({
      onStep: () => undefined,
      now: Date.now,
      disk: { path: join(directory, "slow.json"), bootId, log: silentLog },
    });
  try {
    const first = start("boot-1");
    first.put(service(), down("b"));
    first.put(service(), down());
    vi.advanceTimersByTime(5_000);
    first.put(service({ id: "ds:v2" }), undefined);
    const second = start("boot-1");
    vi.advanceTimersByTime(4_000);
    expect(weights(second.put(service(), down()))).toEqual([100, 50]);
    expect(weights(second.put(service({ id: "ds:v2" }), undefined))).toEqual([100, 100]);
    vi.advanceTimersByTime(8_000);
    expect(weights(second.put(service(), down()))).toEqual([100, 90]);
    expect(weights(start("boot-2").put(service(), down()))).toEqual([100, 100]);
    for (const one of [first, second]) one.close();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
