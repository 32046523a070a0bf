import { expect, test } from "vitest";
import { lastKnownMs } from "./last-known.ts";

const from = "2026-06-01T12:00:00.000Z";

test("the newest known point says until when figures are known, a zero among them", () => {
  expect(lastKnownMs({ from, stepSeconds: 10, connectionsPerSecond: [null, 3, 0, null] })).toBe(Date.parse(from) + 30_000);
});

test("where nobody counted, nothing is known", () => {
  expect(lastKnownMs({ from, stepSeconds: 10, connectionsPerSecond: [null, null] })).toBeNull();
});
