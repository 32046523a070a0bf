import { HealthCheck } from "@trigon/model";
import { expect, test } from "vitest";
import { headersIn, textOfHeaders } from "./check-headers.ts";

test("headers are read line by line, values with colons too, and written back the same", () => {
  const headers = headersIn("X-Probe: trigon\n\n  Referer:https://lb.example/a\n");
  expect(headers).toEqual([
    { name: "X-Probe", value: "trigon" },
    { name: "Referer", value: "https://lb.example/a" },
  ]);
  expect(headersIn(textOfHeaders(headers))).toEqual(headers);
  expect(HealthCheck.safeParse({ kind: "http", headers }).success).toBe(true);
});

test("a line that is no header is refused by the check, not lost", () => {
  expect(HealthCheck.safeParse({ kind: "http", headers: headersIn("not a header") }).success).toBe(false);
});
