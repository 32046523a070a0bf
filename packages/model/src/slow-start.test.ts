import { expect, test } from "vitest";
import { canSlowStart, slowStartWeight } from "./slow-start.ts";

const ramp = (weight: number) => Array.from({ length: 11 }, (_, index) => slowStartWeight(weight, index * 2_000, 20).weight);

test("a real server comes back in ten steps, the last of them its own weight", () => {
  expect(ramp(100)).toEqual([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 100]);
  expect(ramp(5)).toEqual([1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5]);
  expect(slowStartWeight(100, 0, 20)).toEqual({ weight: 10, nextMs: 2_000 });
  expect(slowStartWeight(100, 17_999, 20)).toEqual({ weight: 90, nextMs: 18_000 });
  expect(slowStartWeight(100, 18_000, 20)).toEqual({ weight: 100, nextMs: null });
});

test("no slow start, a weight that has no steps, or a clock set back: nobody is left at nothing", () => {
  expect(slowStartWeight(100, 0, 0)).toEqual({ weight: 100, nextMs: null });
  for (const weight of [0, 1]) expect(slowStartWeight(weight, 0, 20)).toEqual({ weight, nextMs: null });
  expect(slowStartWeight(100, -5_000, 20)).toEqual({ weight: 10, nextMs: 2_000 });
});

test("hashing schedulers would move clients with each step, and rr and lc do not weigh", () => {
  expect(["wlc", "wrr", "sh", "mh", "rr", "lc"].map((name) => canSlowStart(name as "wlc"))).toEqual([
    true,
    true,
    false,
    false,
    false,
    false,
  ]);
});
