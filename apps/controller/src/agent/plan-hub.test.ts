import { expect, test } from "vitest";
import { PlanHub } from "./plan-hub.ts";

test("a stream that waits is woken by its own node's change only, with the newest generation", async () => {
  const hub = new PlanHub();
  const one = hub.follow("node_a");
  const waiting = one.next(0, 5_000);
  hub.announce("node_b", 9);
  hub.announce("node_a", 3);
  hub.announce("node_a", 4);
  expect(await waiting).toBe(4);
  expect(await one.next(4, 1)).toBeNull();
});

test("what came before the stream is not missed, and an older generation is not told", async () => {
  const hub = new PlanHub();
  hub.announce("node_a", 7);
  hub.announce("node_a", 5);
  const stream = hub.follow("node_a");
  expect(await stream.next(6, 5_000)).toBe(7);
});

test("a wake without a newer generation answers null at once, and a closed stream is forgotten", async () => {
  const hub = new PlanHub();
  const stream = hub.follow("node_a");
  expect(hub.isConnected("node_a")).toBe(true);
  const waiting = stream.next(0, 60_000);
  hub.wake("node_a");
  expect(await waiting).toBeNull();
  stream.close();
  expect(hub.connected).toBe(0);
});
