import { expect, test } from "vitest";
import { slicesOf, sweepRounds } from "./sweep.ts";

const times = { sweepTickMs: 750, sweepRounds: 2, sweepQuickShare: 0.1, sweepShare: 0.02 };

test("a cheap sweep is quick; a dear one lasts as long as its share of a core needs", () => {
  expect(sweepRounds(5, times)).toBe(2);
  expect(sweepRounds(150, times)).toBe(2);
  // 151 ms at 2 % of a core are 7.55 s; 3 s are 150 s.
  expect(sweepRounds(151, times)).toBe(11);
  expect(sweepRounds(3_000, times)).toBe(200);
});

test("slices hold every key once, in order, and all rules together", () => {
  const keys = ["a 1", "a 2", "filterRule x", "a 3", "filterRule y", "a 4", "a 5"];
  const slices = slicesOf(keys, 2);
  expect(slices).toEqual([
    ["a 1", "a 2", "a 3"],
    ["a 4", "a 5", "filterRule x", "filterRule y"],
  ]);
  expect(slicesOf([], 2)).toEqual([[]]);
  expect(slicesOf(["filterRule x"], 2)).toEqual([["filterRule x"]]);
});
