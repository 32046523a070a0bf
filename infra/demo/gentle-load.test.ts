import { expect, test } from "vitest";
import { stretchAt } from "./gentle-load.ts";

test("the demo's load always asks every service, gently, and never for long the same", () => {
  const vips = ["10.2.0.100:80", "10.2.0.101:80"];
  const stretches = Array.from({ length: 200 }, (_, index) => stretchAt(index, vips));
  for (const { rate, targets } of stretches) {
    expect(rate).toBeGreaterThan(0);
    expect(rate).toBeLessThan(30);
    expect(new Set(targets.map((target) => target.split("/")[0]))).toEqual(new Set(vips));
  }
  expect(new Set(stretches.map(({ rate }) => rate)).size).toBeGreaterThan(5);
});
