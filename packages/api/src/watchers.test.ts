import { expect, test } from "vitest";
import { Watchers } from "./watchers.ts";

async function collect(watchers: Watchers, after: number | undefined, count: number) {
  const abort = new AbortController();
  const events: (string[] | null)[] = [];
  for await (const { ids } of watchers.watch("node", after, abort.signal)) {
    events.push(ids);
    if (events.length === count) abort.abort();
  }
  return events;
}

test("many changes between two reads are one event; other kinds wake nobody", async () => {
  const watchers = new Watchers(() => 5);
  const reading = collect(watchers, undefined, 2);
  await new Promise(setImmediate);
  watchers.emit("virtualService", ["vs_1"]);
  watchers.emit("node", ["node_a"]);
  watchers.emit("node", ["node_b"]);
  const [first] = await Promise.all([
    reading.then((events) => events[0]),
    new Promise(setImmediate).then(() => watchers.emit("node", null)),
  ]);
  expect(first).toEqual(expect.arrayContaining(["node_a"]));
});

test("one that comes back is told that anything may have changed", async () => {
  expect(await collect(new Watchers(() => 9), 3, 1)).toEqual([null]);
});

test("a watch ends with its signal, also while nothing happens", async () => {
  const abort = new AbortController();
  const reading = (async () => {
    for await (const event of new Watchers(() => 1).watch("node", undefined, abort.signal)) return event;
    return "ended";
  })();
  abort.abort();
  expect(await reading).toBe("ended");
});
