import { expect, test } from "vitest";
import { bitRate, byteCount, perSecond } from "./format.ts";

test.each([
  [0, "0 bit/s"],
  [12, "96 bit/s"],
  [125, "1.00 kbit/s"],
  [124.99, "1.00 kbit/s"],
  [125_000_000, "1.00 Gbit/s"],
  [1_543_210, "12.3 Mbit/s"],
  [null, "–"],
])("%s bytes a second are %s", (bytes, text) => {
  expect(bitRate(bytes)).toBe(text);
});

test.each([
  [999, "999 B"],
  [1000, "1.00 kB"],
  [999_999, "1.00 MB"],
  [123_456_789, "123 MB"],
])("%s bytes are %s", (bytes, text) => {
  expect(byteCount(bytes)).toBe(text);
});

test("a slow service still shows that it moves", () => {
  expect([0, 0.4, 9.94, 9.96, 1234].map(perSecond)).toEqual(["0", "0.4", "9.9", "10", "1234"]);
});
