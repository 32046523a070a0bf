import { HealthCheck, HealthSpec, type PlannedHealth } from "@trigon/model";
import { describe, expect, test } from "vitest";
import { FakeClock } from "../test/fake-clock.ts";
import { type CheckedService, HealthEngine, type SavedHealth } from "./engine.ts";
import { fail, type ProbeResult } from "./probe.ts";

function healthOf(check: object = {}, more: object = {}): PlannedHealth {
  const spec = HealthSpec.parse(more);
  const timing = { intervalMs: 1000, timeoutMs: 500, fastIntervalMs: 1000, jitter: 0 };
  return { ...spec, check: HealthCheck.parse({ kind: "tcp", ...timing, ...check }), sorryServer: null };
}

function serviceOf(rips: string[], health = healthOf()): CheckedService {
  return { health, members: rips.map((rip) => ({ realServerId: `rs ${rip}`, rip, port: 80, isCandidate: true })) };
}

/** A network of fake real servers under an engine on a fake clock. */
function world(saved?: SavedHealth) {
  const clock = new FakeClock();
  const dead = new Set<string>();
  const asked: string[] = [];
  const effects: string[][] = [];
  const news: string[][] = [];
  const engine = new HealthEngine({
    clock,
    random: () => 0.5,
    probe: async ({ rip, port }): Promise<ProbeResult> => {
      asked.push(`${rip}:${port}`);
      return dead.has(rip) ? fail("refused", "The connection was refused") : { outcome: "pass", latencyMs: 1 };
    },
    onEffect: (ids) => effects.push([...ids]),
    onNews: (ids) => news.push([...ids]),
    ...(saved ? { saved } : {}),
  });
  const outOf = (id: string) => [...(engine.health(id)?.out ?? [])];
  return { clock, dead, asked, effects, news, engine, outOf };
}

describe("the engine", () => {
  test("takes a server out after fall × interval, and lets it back after rise × interval", async () => {
    const { clock, dead, effects, engine, outOf } = world();
    engine.put("a", serviceOf(["1", "2", "3"]));
    await clock.advance(2000);
    expect(outOf("a")).toEqual([]);
    dead.add("2");
    await clock.advance(2000);
    expect(outOf("a")).toEqual([]);
    await clock.advance(1000);
    expect(outOf("a")).toEqual(["rs 2"]);
    expect(effects).toEqual([["a"]]);
    dead.clear();
    await clock.advance(2000);
    expect(outOf("a")).toEqual([]);
    expect(effects).toEqual([["a"], ["a"]]);
  });

  test("asks at once when told to, and settles the verdict at the fast interval without disturbing the usual turns", async () => {
    const { clock, dead, asked, engine, outOf } = world();
    engine.put("a", serviceOf(["1", "2"], healthOf({ intervalMs: 60_000, fastIntervalMs: 500 })));
    await clock.advance(30_000);
    expect(outOf("a")).toEqual([]);
    const answered = () => new Promise((resolve) => setImmediate(resolve));
    dead.add("2");
    asked.length = 0;
    engine.hasten("a");
    engine.hasten("a");
    await answered();
    await clock.advance(1_100);
    expect(outOf("a")).toEqual(["rs 2"]);
    expect(asked.filter((name) => name === "1:80")).toHaveLength(1);
    dead.clear();
    engine.hasten("a");
    await answered();
    await clock.advance(1_100);
    expect(outOf("a")).toEqual([]);
    engine.hasten("nobody");
  });

  test("tells the ways to one real server apart: its RIP, and each VIP through it", async () => {
    const { clock, asked, engine } = world();
    const by = (vip: string): CheckedService => {
      const [member] = serviceOf(["1"]).members;
      const through = { vip, forwarding: "dr", encapsulation: "ipip" } as const;
      return { health: healthOf({ target: "vip" }), members: [{ ...member!, through }] };
    };
    engine.put("a", serviceOf(["1"]));
    engine.put("b", by("v1"));
    engine.put("c", by("v2"));
    engine.put("d", by("v2"));
    await clock.advance(1000);
    expect(asked).toEqual(["1:80", "1:80", "1:80"]);
    expect(Object.keys(engine.save().endpoints)).toEqual(["tcp 1 80", "tcp 1 80 v1 dr ipip", "tcp 1 80 v2 dr ipip"]);
  });

  test("asks once for all services that ask the same of the same endpoint, and tells only those concerned", async () => {
    const { clock, dead, asked, effects, engine } = world();
    engine.put("a", serviceOf(["1", "2"]));
    engine.put("b", serviceOf(["2", "3"]));
    engine.put("c", serviceOf(["3"]));
    await clock.advance(1000);
    expect(asked.toSorted()).toEqual(["1:80", "2:80", "3:80"]);
    dead.add("1");
    await clock.advance(4000);
    expect(effects).toEqual([["a"]]);
    expect(engine.stats().endpoints).toBe(3);
    engine.remove("a");
    engine.remove("b");
    expect(engine.stats().endpoints).toBe(1);
  });

  test("fails open when all fail, and closes again with the first that is well", async () => {
    const { clock, dead, engine } = world();
    engine.put("a", serviceOf(["1", "2"]));
    dead.add("1").add("2");
    await clock.advance(5000);
    expect(engine.health("a")).toEqual({ mode: "failOpen", out: new Set(["rs 1", "rs 2"]) });
    dead.delete("1");
    await clock.advance(3000);
    expect(engine.health("a")).toEqual({ mode: "normal", out: new Set(["rs 2"]) });
  });

  test("keeps verdicts when the plan changes: other timing, other members, a real server renamed", async () => {
    const { clock, dead, engine, outOf } = world();
    engine.put("a", serviceOf(["1", "2"]));
    dead.add("2");
    await clock.advance(5000);
    expect(outOf("a")).toEqual(["rs 2"]);
    engine.put("a", serviceOf(["2", "3"], healthOf({ intervalMs: 5000, fall: 9 })));
    expect(outOf("a")).toEqual(["rs 2"]);
    engine.remove("a");
    engine.put("b", serviceOf(["2", "3"]));
    expect(outOf("b")).toEqual(["rs 2"]);
  });

  test("asks a different question of the same endpoint anew", async () => {
    const { clock, dead, engine, outOf } = world();
    engine.put("a", serviceOf(["1", "2"]));
    dead.add("2");
    await clock.advance(5000);
    engine.put("a", serviceOf(["1", "2"], healthOf({ kind: "http" })));
    expect(outOf("a")).toEqual([]);
  });

  test("begins with the verdicts of the last run", async () => {
    const first = world();
    first.engine.put("a", serviceOf(["1", "2", "3"], healthOf({}, { maxOutAtOnce: 1 })));
    first.dead.add("3");
    await first.clock.advance(5000);
    first.dead.add("1");
    await first.clock.advance(5000);
    const saved = JSON.parse(JSON.stringify(first.engine.save()));
    const second = world(saved);
    second.engine.put("a", serviceOf(["1", "2", "3"], healthOf({}, { maxOutAtOnce: 1 })));
    expect(second.outOf("a")).toEqual(["rs 3"]);
    expect(second.asked).toEqual([]);
  });

  test("saves what was not taken up yet", () => {
    const saved = { endpoints: { "tcp 9 80": { ...downState, verdict: "down" as const } }, services: {} };
    expect(world(saved).engine.save().endpoints).toHaveProperty(["tcp 9 80", "verdict"], "down");
  });

  test("asks faster while a verdict is about to change", async () => {
    const { clock, dead, asked, engine } = world();
    engine.put("a", serviceOf(["1"], healthOf({ intervalMs: 10_000, fastIntervalMs: 200 })));
    await clock.advance(10_000);
    expect(asked).toHaveLength(1);
    dead.add("1");
    await clock.advance(1_000);
    expect(asked).toHaveLength(4);
    expect(engine.report("a")?.realServers[0]).toMatchObject({ verdict: "down", reason: "refused", isOut: false });
    expect(engine.report("a")?.mode).toBe("failOpen");
  });

  test("tells news also where nothing changes for the kernel", async () => {
    const { clock, effects, news, engine } = world();
    engine.put("a", serviceOf(["1"]));
    await clock.advance(1000);
    expect(effects).toEqual([]);
    expect(news).toEqual([["a"]]);
    expect(engine.report("a")?.realServers).toEqual([
      { realServerId: "rs 1", verdict: "up", isOut: false, reason: null, message: null, latencyMs: 1, since: expect.any(String) },
    ]);
  });

  test("asks 2,000 endpoints once a second each with one timer, spread over the second", async () => {
    let seed = 1;
    const clock = new FakeClock();
    const perSlot = new Map<number, number>();
    const engine = new HealthEngine({
      clock,
      random: () => {
        seed = (seed * 48_271) % 2_147_483_647;
        return seed / 2_147_483_647;
      },
      probe: async () => {
        const slot = Math.floor(clock.now() / 100);
        perSlot.set(slot, (perSlot.get(slot) ?? 0) + 1);
        return { outcome: "pass", latencyMs: 1 };
      },
      onEffect: () => undefined,
      onNews: () => undefined,
    });
    for (let at = 0; at < 2000; at++) engine.put(`s${at}`, serviceOf([`10.0.${at >> 8}.${at & 255}`]));
    expect(clock.timers).toBe(1);
    await clock.advance(5000);
    expect(clock.timers).toBe(1);
    const { probes, p99LatenessMs } = engine.stats();
    expect(probes).toBeGreaterThan(9_000);
    expect(probes).toBeLessThan(10_500);
    expect(Math.max(...perSlot.values())).toBeLessThan(350);
    expect(p99LatenessMs).toBeLessThanOrEqual(50);
    expect(clock.wakes).toBeLessThan(130);
    engine.stop();
    expect(clock.timers).toBe(0);
  });
});

const downState = {
  since: 0,
  passes: 0,
  failures: 3,
  reason: null,
  message: null,
  latencyMs: null,
  penalty: 1,
  penaltyAt: 0,
};
