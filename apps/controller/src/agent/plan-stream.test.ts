import { expect, test } from "vitest";
import { PlanHub } from "./plan-hub.ts";
import { planStream } from "./plan-stream.ts";

function open(hub: PlanHub, since: number, mayStay = () => true, nodeId = "node_a") {
  const abort = new AbortController();
  const closed = { count: 0 };
  const onClose = () => void closed.count++;
  const stream = planStream({ hub, nodeId, since, mayStay, signal: abort.signal, onAlive: () => undefined, onClose });
  const reader = stream.getReader();
  const read = async () => {
    const { value, done } = await reader.read();
    return done ? null : new TextDecoder().decode(value);
  };
  return { abort, closed, read, reader };
}

test("a stream opens at once, tells what is newer than Last-Event-ID, then each change", async () => {
  const hub = new PlanHub();
  hub.announce("node_a", 5);
  const { read, reader } = open(hub, 3);
  expect(await read()).toBe(": connected\n\n");
  expect(await read()).toBe('event: plan\nid: 5\ndata: {"type":"plan","generation":5}\n\n');
  const next = read();
  hub.announce("node_a", 6);
  expect(await next).toContain("id: 6\n");
  await reader.cancel();
  expect(hub.connected).toBe(0);
});

test("a service to probe at once is told to its own director's streams, once, and before what comes later", async () => {
  const hub = new PlanHub();
  hub.probe("node_a", "vs_early"); // nobody listens
  const { read, reader } = open(hub, 0);
  await read();
  const next = read();
  hub.probe("node_b", "vs_other");
  hub.probe("node_a", "vs_1");
  hub.probe("node_a", "vs_1");
  expect(await next).toBe('event: probe\ndata: {"type":"probe","serviceId":"vs_1"}\n\n');
  const after = read();
  hub.announce("node_a", 2);
  expect(await after).toContain("id: 2\n");
  await reader.cancel();
});

test("that somebody looks is told to every node, and to one that comes while it holds", async () => {
  const hub = new PlanHub();
  const [a, b] = [open(hub, 0), open(hub, 0, undefined, "node_b")];
  for (const { read } of [a, b]) await read();
  const [atA, atB] = [a.read(), b.read()];
  hub.watch(15);
  expect([await atA, await atB]).toEqual(Array(2).fill('event: watch\ndata: {"type":"watch","seconds":15}\n\n'));
  const late = open(hub, 0, undefined, "node_c");
  await late.read();
  const told = /"seconds":([\d.]+)/.exec((await late.read()) ?? "")?.[1];
  expect(Number(told)).toBeGreaterThan(10);
  expect(Number(told)).toBeLessThanOrEqual(15);
  for (const { reader } of [a, b, late]) await reader.cancel();
});

test("a question goes to one stream of its node, the newest", async () => {
  const hub = new PlanHub();
  const [older, newer] = [open(hub, 0), open(hub, 0)];
  for (const { read } of [older, newer]) await read();
  const next = newer.read();
  hub.ask("node_b", "ask_0", {});
  hub.ask("node_a", "ask_1", { what: "connections" });
  expect(await next).toBe('event: ask\ndata: {"type":"ask","id":"ask_1","question":{"what":"connections"}}\n\n');
  const after = older.read();
  hub.announce("node_a", 2);
  expect(await after).toContain("id: 2\n");
  for (const { reader } of [older, newer]) await reader.cancel();
});

test("many changes between two reads are one event with the newest generation", async () => {
  const hub = new PlanHub();
  const { read } = open(hub, 0);
  await read();
  hub.announce("node_a", 1);
  const first = await read();
  for (let generation = 2; generation <= 500; generation++) hub.announce("node_a", generation);
  const second = await read();
  const third = second?.includes('"generation":500') ? second : await read();
  expect([first?.includes("id: 1\n"), third?.includes("id: 500\n")]).toEqual([true, true]);
});

test("a stream whose node may no longer stay ends", async () => {
  const hub = new PlanHub();
  let stays = true;
  const { read, closed } = open(hub, 0, () => stays);
  await read();
  const next = read();
  stays = false;
  hub.wake("node_a");
  expect(await next).toBeNull();
  expect(closed.count).toBe(1);
  expect(hub.connected).toBe(0);
});

test("an aborted request leaves no follower behind", async () => {
  const hub = new PlanHub();
  const { read, abort } = open(hub, 0);
  await read();
  abort.abort();
  expect(hub.connected).toBe(0);
});
