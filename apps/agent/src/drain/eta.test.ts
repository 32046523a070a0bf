import { expect, test } from "vitest";
import { type DrainSample, etaSeconds, recent } from "./eta.ts";

const every2s = (...left: number[]): DrainSample[] => left.map((value, at) => ({ atMs: at * 2_000, left: value }));

test("an exponential decay is carried on to less than one", () => {
  // Halves every 10 s: from 64, seven halvings to 0.5.
  const samples = Array.from({ length: 11 }, (_, at) => ({ atMs: at * 2_000, left: 256 * 2 ** (-at / 5) }));
  expect(etaSeconds(samples)).toBe(70);
});

test("nothing left is now; nothing decaying, or too little known, is not known", () => {
  expect(etaSeconds(every2s(5, 3, 0))).toBe(0);
  expect(etaSeconds(every2s(7, 7, 7, 7))).toBeNull();
  expect(etaSeconds(every2s(7, 8, 9))).toBeNull();
  expect(etaSeconds(every2s(7, 5))).toBeNull();
  expect(etaSeconds([])).toBeNull();
});

test("what is older than two minutes does not count", () => {
  expect(recent(every2s(9, 8, 7), 122_000).map(({ left }) => left)).toEqual([8, 7]);
});
