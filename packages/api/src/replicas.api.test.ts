import { until } from "@trigon/db/testing/test-database";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestFleet, factsOf, type TestAgent, type TestFleet } from "./testing/fleet.ts";

let first: TestFleet;
let second: TestFleet;
const agents: TestAgent[] = [];
beforeAll(async () => {
  first = await createTestFleet();
  second = await first.replica();
  agents.push(await first.enroll("director", factsOf("lb-1", "192.0.2.2")));
  for (const host of [11, 12, 13]) agents.push(await second.enroll("realServer", factsOf(`rs-${host}`, `192.0.2.${host}`)));
});
afterAll(async () => {
  await second.close();
  await first.close();
});

test("who looks at figures at one replica is told to the nodes of all, once for many readers; writes and reports tell nothing", async () => {
  await agents[0]!.turn();
  await first.caller.virtualService.list({});
  await first.caller.node.list({});
  expect([first.watched, second.watched]).toEqual([[], []]);
  await Promise.all([first, first, second].map(({ caller }) => caller.virtualService.fleetCounters()));
  await until(async () => first.watched.length > 0 && second.watched.length === first.watched.length);
  const told = first.watched.length;
  expect(told).toBeLessThanOrEqual(2); // both replicas may have said it at the same moment
  expect(new Set([...first.watched, ...second.watched])).toEqual(new Set([15]));
  for (let reader = 0; reader < 20; reader++) await (reader % 2 ? first : second).caller.virtualService.counters({});
  expect(first.watched).toHaveLength(told);
});

/** A small generator with a seed, so that a failure can be run again. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test("whatever is written and reported at both replicas at once, both and a third that starts anew hold the same plans", async () => {
  const random = randomOf(7);
  const pick = <T>(items: readonly T[]) => items[random(items.length)]!;
  const forwardings = ["dr", "tun", "nat", "fullnat"] as const;
  const write = async (fleet: TestFleet, step: number) => {
    const { data } = await fleet.caller.virtualService.list({});
    const service = data.length > 0 ? pick(data) : undefined;
    const realServers = [11, 12, 13]
      .filter(() => random(2) === 1)
      .map((host) => ({ rip: `192.0.2.${host}`, weight: 1 + random(9) }));
    const what = random(6);
    if (!service || what < 2) {
      const spec = {
        name: `s${step}`,
        vip: `192.0.2.${100 + random(4)}`,
        port: 1000 + step,
        forwarding: pick(forwardings),
        realServers,
      };
      await fleet.caller.virtualService.create({ spec });
    } else if (what === 2) await fleet.caller.virtualService.delete({ id: service.id, revision: "*" });
    else if (what === 3) {
      await fleet.caller.virtualService.patch({ id: service.id, revision: "*", spec: { enabled: !service.enabled } });
    } else if (what === 4) {
      await fleet.caller.virtualService.patch({ id: service.id, revision: "*", spec: { forwarding: pick(forwardings) } });
    } else await fleet.caller.virtualService.patch({ id: service.id, revision: "*", spec: { realServers } });
  };
  const notFound = (error: { cause?: { code?: string } }) => {
    if (error.cause?.code !== "resource.notFound") throw error; // the other replica deleted it in between
  };
  for (let step = 0; step < 40; step += 2) {
    const turn = pick(agents);
    turn.api = pick([first, second]).api;
    await Promise.all([write(first, step).catch(notFound), write(second, step + 1).catch(notFound), turn.turn()]);
  }
  const sequence = async () => (await first.database.sql<{ sequence: number }>("SELECT sequence FROM fleet"))[0]!.sequence;
  for (const agent of agents) await agent.turn();
  let last = -1;
  await until(async () => {
    const now = await sequence();
    const isQuiet = now === last && [first, second].every(({ api }) => api.figures().sequence === now);
    last = now;
    if (!isQuiet) await Promise.all(agents.map((agent) => agent.turn()));
    return isQuiet;
  });
  const third = await first.replica();
  for (const agent of agents) {
    await agent.fetch();
    const plans = await Promise.all([first, second, third].map(({ api }) => api.agents.planFor(agent.nodeId, null)));
    const [one, two, fresh] = plans.map(({ fragments }) => fragments.toSorted((a, b) => a.id.localeCompare(b.id)));
    expect(two).toEqual(one);
    expect(fresh).toEqual(one);
    // What came to the agent piece by piece is what it would have got whole.
    const { fragments } = agent;
    expect([...fragments.keys()].toSorted()).toEqual(one!.map(({ id }) => id).toSorted());
    for (const { id, hash } of one!) expect(fragments.get(id)?.hash).toBe(hash);
  }
  await third.close();
}, 120_000);

test("a subscriber at one replica hears of what the other wrote, once for many changes, and of everything when it comes back", async () => {
  const abort = new AbortController();
  const events: (string[] | null)[] = [];
  const reading = (async () => {
    for await (const { ids } of second.api.services.watch("virtualService", undefined, abort.signal)) events.push(ids);
  })();
  await new Promise((resolve) => setImmediate(resolve));
  const made = await first.caller.virtualService.create({
    spec: { name: "watched", vip: "192.0.2.120", port: 80, forwarding: "nat", realServers: [] },
  });
  await until(() => events.some((ids) => ids?.includes(made.id)));
  abort.abort();
  await reading;
  const again = new AbortController();
  for await (const event of second.api.services.watch("virtualService", 1, again.signal)) {
    expect(event.ids).toBeNull();
    again.abort();
  }
});

test("an enrollment seen by one replica shows in the waiting row of the other", async () => {
  const abort = new AbortController();
  const { id } = await first.caller.enrollmentToken.create({ spec: { role: "realServer" } });
  const heard: string[] = [];
  const reading = (async () => {
    for await (const { ids } of second.api.services.watch("enrollmentToken", undefined, abort.signal)) heard.push(...(ids ?? []));
  })();
  await until(async () => {
    await first.api.enrollment.scriptFetched(id, "192.0.2.40");
    return heard.includes(id);
  });
  abort.abort();
  await reading;
});
