import { describe, expect, test } from "vitest";
import { type AdminState, effectiveWeight, type HealthVerdict, type OnFailure } from "./effective-weight.ts";

type Row = [AdminState, HealthVerdict, OnFailure, number | "absent"];

const table: Row[] = [
  ["active", "up", "inhibit", 7],
  ["active", "up", "remove", 7],
  ["active", "checking", "inhibit", 7],
  ["active", "checking", "remove", 7],
  ["active", "down", "inhibit", 0],
  ["active", "down", "remove", "absent"],
  ["draining", "up", "inhibit", 0],
  ["draining", "up", "remove", 0],
  ["draining", "checking", "inhibit", 0],
  ["draining", "down", "inhibit", 0],
  ["draining", "down", "remove", "absent"],
  ["maintenance", "up", "inhibit", 0],
  ["maintenance", "checking", "remove", 0],
  ["maintenance", "down", "inhibit", 0],
  ["maintenance", "down", "remove", "absent"],
  ["disabled", "up", "inhibit", "absent"],
  ["disabled", "checking", "remove", "absent"],
  ["disabled", "down", "inhibit", "absent"],
];

describe("effective weight", () => {
  test.each(table)("%s, %s, on failure %s: %s", (adminState, verdict, onFailure, expected) => {
    const answer = effectiveWeight({ adminState, verdict, weight: 7, onFailure });
    expect(answer).toEqual(expected === "absent" ? "absent" : { weight: expected });
  });

  test("a desired weight of 0 stays 0 whatever health says", () => {
    for (const verdict of ["up", "checking"] as const)
      expect(effectiveWeight({ adminState: "active", verdict, weight: 0, onFailure: "inhibit" })).toEqual({ weight: 0 });
  });
});
