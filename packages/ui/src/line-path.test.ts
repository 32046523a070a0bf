import { expect, test } from "vitest";
import { linePath } from "./line-path.ts";

const box = { width: 100, height: 10, max: 4 };

test("0 lies at the bottom and the maximum at the top", () => {
  expect(linePath([0, 4], box)).toBe("M0 10L100 0");
});

test("a missing sample is a gap, not a zero", () => {
  expect(linePath([4, null, 4], box)).toBe("M0 0M100 0");
});

test("no samples draw nothing", () => {
  expect(linePath([], box)).toBe("");
});
