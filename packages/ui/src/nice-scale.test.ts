import { expect, test } from "vitest";
import { gapsOf, niceCeiling } from "./nice-scale.ts";

test("an axis ends at a round figure that holds the highest value", () => {
  expect([0, 0.3, 1, 1.1, 4.9, 5, 51, 999, 1001].map(niceCeiling)).toEqual([1, 0.5, 1, 2, 5, 5, 100, 1000, 2000]);
});

test("gaps are runs of what is not known; a zero is known", () => {
  expect(gapsOf([null, 1, null, null, 0, null])).toEqual([
    { from: 0, length: 1 },
    { from: 2, length: 2 },
    { from: 5, length: 1 },
  ]);
  expect(gapsOf([])).toEqual([]);
});
