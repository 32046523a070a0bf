import { expect, test } from "vitest";
import { isOutage, problemOf } from "./problem.ts";

test("the server's problem document keeps its code, request id and wrong fields", () => {
  const fields = [{ pointer: "/vip", code: "vip.taken", detail: "10.0.0.1 is taken" }];
  const error = Object.assign(new Error("x"), {
    data: { problem: { code: "input.invalid", detail: "d", requestId: "req_1", errors: fields } },
  });
  expect(problemOf(error)).toEqual({ code: "input.invalid", detail: "d", requestId: "req_1", fields });
});

test("no answer at all is a lost connection, and so an outage", () => {
  const problem = problemOf(new TypeError("Failed to fetch"));
  expect(problem.code).toBe("connection.lost");
  expect(isOutage(problem)).toBe(true);
});

test("a refusal is no outage", () => {
  expect(isOutage(problemOf({ data: { problem: { code: "auth.forbidden", detail: "no" } } }))).toBe(false);
});
