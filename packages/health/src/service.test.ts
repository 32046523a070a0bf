import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type HealthPolicy, judge, type Member, newService, type ServiceMemory } from "./service.ts";

const policy: HealthPolicy = { quorum: { up: 1, down: 1 }, failOpen: true, maxOutAtOnce: null, hasSorryServer: false };
/** `+` up, `-` down, `d` down and drained. */
const members = (signs: string): Member[] =>
  [...signs].map((sign, at) => ({
    realServerId: `rs_${at + 1}`,
    verdict: sign === "+" ? "up" : "down",
    since: at,
    isCandidate: sign !== "d",
  }));
const told = (signs: string, more: Partial<HealthPolicy> = {}, memory: ServiceMemory = newService) => {
  const { mode, out } = judge(memory, members(signs), { ...policy, ...more }).health;
  return `${mode} ${[...out].join()}`.trim();
};

describe("a service", () => {
  test("loses who fails", () => {
    expect(told("+-+")).toBe("normal rs_2");
    expect(told("+++")).toBe("normal");
  });

  test("fails open when all fail, unless that is not wished or a sorry server is there", () => {
    expect(told("---")).toBe("failOpen rs_1,rs_2,rs_3");
    expect(told("---", { failOpen: false })).toBe("normal rs_1,rs_2,rs_3");
    expect(told("---", { hasSorryServer: true })).toBe("sorry rs_1,rs_2,rs_3");
  });

  test("counts those without a weight for nothing", () => {
    expect(told("-d")).toBe("failOpen rs_1,rs_2");
    expect(told("+d")).toBe("normal rs_2");
    expect(told("dd")).toBe("normal rs_1,rs_2");
  });

  test("takes no more out than the cap, first who failed first, and the next when one is back", () => {
    const capped = { maxOutAtOnce: 1 };
    const first = judge(newService, members("+--"), { ...policy, ...capped });
    expect([...first.health.out]).toEqual(["rs_2"]);
    const back = judge(first.memory, members("++-"), { ...policy, ...capped });
    expect([...back.health.out]).toEqual(["rs_3"]);
  });

  test("has its quorum again only at the upper threshold", () => {
    const quorum = { up: 3, down: 2 };
    const lost = judge(newService, members("+---"), { ...policy, quorum });
    expect(lost.health.mode).toBe("failOpen");
    const between = judge(lost.memory, members("++--"), { ...policy, quorum });
    expect(between.health.mode).toBe("failOpen");
    const again = judge(between.memory, members("+++-"), { ...policy, quorum });
    expect(again.health.mode).toBe("normal");
    expect(judge(again.memory, members("++--"), { ...policy, quorum }).health.mode).toBe("normal");
  });
});

test("whatever happens: never out beyond the cap, never everybody out, only who failed is out", () => {
  const world = fc.record({
    steps: fc.array(fc.array(fc.constantFrom("+", "-", "d"), { minLength: 5, maxLength: 5 }), { minLength: 1, maxLength: 30 }),
    cap: fc.option(fc.integer({ min: 1, max: 4 })),
    quorum: fc.record({ down: fc.integer({ min: 1, max: 3 }), extra: fc.integer({ min: 0, max: 2 }) }),
  });
  fc.assert(
    fc.property(world, ({ steps, cap, quorum: { down, extra } }) => {
      const asked = { ...policy, maxOutAtOnce: cap, quorum: { down, up: down + extra } };
      let memory = newService;
      for (const signs of steps) {
        const had = memory.hasQuorum;
        const now = members(signs.join(""));
        const answer = judge(memory, now, asked);
        memory = answer.memory;
        const candidates = now.filter(({ isCandidate }) => isCandidate);
        const failed = candidates.filter(({ verdict }) => verdict === "down").map(({ realServerId }) => realServerId);
        const out = candidates.filter(({ realServerId }) => answer.health.out.has(realServerId));
        expect(out.length).toBeLessThanOrEqual(cap ?? 5);
        expect(out.length).toBe(Math.min(failed.length, cap ?? 5));
        expect(out.every(({ realServerId }) => failed.includes(realServerId))).toBe(true);
        if (candidates.length > 0 && failed.length === candidates.length) expect(answer.health.mode).toBe("failOpen");
        if (answer.health.mode === "failOpen") expect(failed.length).toBeGreaterThan(0);
        const serving = candidates.length - failed.length;
        if (had) expect(memory.hasQuorum).toBe(serving >= down);
        else expect(memory.hasQuorum).toBe(serving >= down + extra);
      }
    }),
  );
});
