import type { Fragment } from "@trigon/model";
import { expect, test } from "vitest";
import { Looking, servicesAlone } from "./counting.ts";

const service = { kind: "director.service", protocol: "tcp", vip: "192.0.2.10", port: 80 } as Fragment;
const vip = { kind: "director.vip", vip: "192.0.2.10" } as Fragment;
const serve = { kind: "realServer.serve" } as Fragment;

test("a director counts its services, and a real server its rules too", () => {
  expect(servicesAlone([service, vip])).toEqual(["ipvsService tcp 192.0.2.10 80"]);
  expect(servicesAlone([service, serve])).toBeUndefined();
});

/** Whether figures that were read so long ago are due; a promise that stays open is not. */
async function isDue(looking: Looking, agoMs: number, leastMs = 0): Promise<boolean> {
  const stop = new AbortController();
  const due = looking.due(performance.now() - agoMs, leastMs, stop.signal).then(() => !stop.signal.aborted);
  const isOver = await Promise.race([due, new Promise<false>((resolve) => setImmediate(() => resolve(false)))]);
  stop.abort();
  return isOver;
}

test("figures are due every second while somebody looks, and else every ten", async () => {
  const looking = new Looking();
  expect(await isDue(looking, 9_000)).toBe(false);
  expect(await isDue(looking, 10_000)).toBe(true);
  looking.tell(30);
  expect(await isDue(looking, 500)).toBe(false);
  expect(await isDue(looking, 1_000)).toBe(true);
});

test("figures that are dear to read are due no sooner for somebody who looks", async () => {
  const looking = new Looking();
  looking.tell(30);
  expect(await isDue(looking, 4_000, 5_000)).toBe(false);
  expect(await isDue(looking, 5_000, 5_000)).toBe(true);
});

test("a controller that says no more that somebody looks is taken to have nobody", async () => {
  let at = performance.now();
  const looking = new Looking(() => at);
  looking.tell(15);
  looking.tell(5); // takes nothing back
  at += 14_999;
  expect(looking.isOn).toBe(true);
  at += 1;
  expect(looking.isOn).toBe(false);
});

test("who begins to look does not wait for the end of the ten seconds", async () => {
  const looking = new Looking();
  const stop = new AbortController();
  const due = looking.due(performance.now() - 2_000, 0, stop.signal).then(() => "due");
  looking.tell(15);
  const late = new Promise<string>((resolve) => setTimeout(() => resolve("late"), 3_000).unref());
  expect(await Promise.race([due, late])).toBe("due");
  stop.abort();
});
