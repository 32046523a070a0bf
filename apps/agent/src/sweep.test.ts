import { expect, test } from "vitest";
import { slicesOf, sweepRounds } from "./sweep.ts";

const times = {
  sweepTickMs: 750,
  sweepRounds: 2,
  sweepQuickKeys: 1_500,
  sweepQuickShare: 0.4,
  sweepShare: 0.02,
  sweepWholeKeys: 8_000,
  sweepMostMs: 300_000,
};

test("a small table is swept quickly; a large or dear one takes as long as its share of a core needs", () => {
  expect(sweepRounds(0, 0, times)).toBe(2);
  expect(sweepRounds(1_500, 600, times)).toBe(2);
  // 601 ms at 2 % of a core are 30 s; 3 s are 150 s; 20 ms are 1 s, which is no quicker than the quickest.
  expect(sweepRounds(1_500, 601, times)).toBe(41);
  expect(sweepRounds(40_000, 3_000, times)).toBe(200);
  expect(sweepRounds(1_501, 60, times)).toBe(4);
  expect(sweepRounds(1_501, 20, times)).toBe(2);
});

test("slices hold every key once, in order", () => {
  expect(slicesOf(["a 1", "a 2", "a 3", "a 4", "a 5"], 2)).toEqual([
    ["a 1", "a 2", "a 3"],
    ["a 4", "a 5"],
  ]);
  expect(slicesOf([], 2)).toEqual([]);
});
