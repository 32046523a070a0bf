import { expect, test } from "vitest";
import { logNormalScore, performanceScore, share } from "./page-score.ts";

test("a value scores what Lighthouse's curves say of it", () => {
  const curve = { p10: 1200, median: 2400 };
  expect(logNormalScore(0, curve)).toBe(1);
  expect(logNormalScore(1200, curve)).toBeCloseTo(0.9, 5);
  expect(logNormalScore(2400, curve)).toBeCloseTo(0.5, 5);
  // Between them falls what lies as far beyond the median as the tenth percentile before it.
  expect(logNormalScore(4800, curve)).toBeCloseTo(0.1, 5);
});

test("the measures are weighed, and the worst one shows", () => {
  expect(performanceScore({ fcpMs: 0, lcpMs: 0, blockingMs: 0, cls: 0 })).toBe(100);
  expect(performanceScore({ fcpMs: 934, lcpMs: 1200, blockingMs: 150, cls: 0.1 })).toBeCloseTo(90, 3);
  expect(performanceScore({ fcpMs: 0, lcpMs: 0, blockingMs: 350, cls: 0 })).toBeCloseTo(100 - (100 * 15) / 90, 3);
});

test("a share counts what was answered well", () => {
  expect(share([true, true, true, false])).toBe(75);
  expect(share([])).toBe(0);
});
