import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type EndpointState, isChanging, neededPasses, newEndpoint, penaltyHalfLifeMs, step } from "./machine.ts";
import { fail, type ProbeResult, unable } from "./probe.ts";

const parameters = { rise: 2, fall: 3 };
const pass: ProbeResult = { outcome: "pass", latencyMs: 1 };
const bad = fail("refused", "The connection was refused");

/** Feeds results a second apart: `+` passed, `-` failed, `?` could not be made. */
function run(results: string, from: EndpointState = newEndpoint(0), startAt = 0): EndpointState {
  const meaning: Record<string, ProbeResult> = { "+": pass, "-": bad, "?": unable("no sockets") };
  return [...results].reduce((state, sign, at) => step(state, meaning[sign]!, parameters, startAt + at * 1000), from);
}

describe("an endpoint", () => {
  test.each([
    ["", "checking"],
    ["+", "up"],
    ["--", "checking"],
    ["---", "down"],
    ["+--+--", "up"],
    ["+---", "down"],
    ["+---+", "down"],
    ["+---++", "up"],
    ["+---+-+", "down"],
    ["--?-", "down"],
    ["+--?", "up"],
    ["?????", "checking"],
  ])("after %j is %s", (results, verdict) => {
    expect(run(results).verdict).toBe(verdict);
  });

  test("says since when and why", () => {
    expect(run("+---")).toMatchObject({ verdict: "down", since: 3000, reason: "refused", message: "The connection was refused" });
    expect(run("+---++")).toMatchObject({ verdict: "up", since: 5000, reason: null, message: null });
  });

  test("that keeps going down is asked for more and more passes, and is forgiven with time", () => {
    let state = run("+---");
    expect(neededPasses(state, parameters, 4000)).toBe(2);
    state = run("++---", state, 4000);
    expect(neededPasses(state, parameters, 9000)).toBe(4);
    expect(run("+++", state, 9000).verdict).toBe("down");
    state = run("++++---", state, 9000);
    expect(neededPasses(state, parameters, 16_000)).toBe(8);
    expect(neededPasses(state, parameters, 16_000 + 10 * penaltyHalfLifeMs)).toBe(2);
  });

  test("is asked faster while its verdict is about to change", () => {
    const changing = (results: string) => isChanging(run(results));
    expect(["", "+", "+-", "+---", "+---+"].map(changing)).toEqual([true, false, true, false, true]);
  });

  test("goes down only after `fall` failures in a row, and comes back only after `rise` passes in a row", () => {
    const results = fc.array(fc.constantFrom("+", "-", "?"), { maxLength: 200 });
    fc.assert(
      fc.property(results, (signs) => {
        let state = newEndpoint(0);
        for (const [at, sign] of signs.entries()) {
          const before = state;
          state = run(sign, state, at * 1000);
          const told = signs.slice(0, at + 1).filter((one) => one !== "?");
          if (before.verdict !== "down" && state.verdict === "down") expect(told.slice(-3)).toEqual(["-", "-", "-"]);
          if (before.verdict === "down" && state.verdict === "up") expect(told.slice(-2)).toEqual(["+", "+"]);
          if (sign === "?") expect(state.verdict).toBe(before.verdict);
        }
      }),
    );
  });
});
