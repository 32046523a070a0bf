import { DomainError, errorCodes, VirtualServiceSpec } from "@trigon/model";
import { TRPCError } from "@trpc/server";
import { expect, test } from "vitest";
import { z } from "zod";
import { domainErrorOf, fieldErrorsOf, pointerOf, problemOf } from "./problem.ts";

test("a pointer escapes what JSON pointers escape (RFC 6901, section 3)", () => {
  expect(pointerOf(["realServers", 0, "a/b~c"])).toBe("/realServers/0/a~1b~0c");
  expect(pointerOf([])).toBe("");
});

test("each wrong field is named by its pointer and a code, without the envelope of tRPC", () => {
  const envelope = z.strictObject({ spec: VirtualServiceSpec });
  const parsed = envelope.safeParse({ spec: { name: "web", vip: "nowhere", port: 0, forwarding: "magic", colour: 1 } });
  const fields = fieldErrorsOf(parsed.error!).map(({ pointer, code }) => `${pointer} ${code}`);
  expect(fields.toSorted()).toEqual([
    "/colour field.unknown",
    "/forwarding field.choice",
    "/port field.range",
    "/vip address.invalid",
  ]);
  const missing = envelope.safeParse({ spec: { name: "web", vip: "192.0.2.1", forwarding: "dr" } });
  expect(fieldErrorsOf(missing.error!)).toMatchObject([{ pointer: "/port", code: "field.required" }]);
});

test("a DomainError is found inside what wraps it; what nobody foresaw is a bug that tells nothing", () => {
  const stale = new DomainError("revision.stale", "Read it again.");
  expect(domainErrorOf(new TRPCError({ code: "PRECONDITION_FAILED", cause: stale }))).toBe(stale);
  const bug = domainErrorOf(new Error("password is hunter2"));
  expect(problemOf(bug, "req_1")).toMatchObject({ status: 500, code: "bug", requestId: "req_1" });
  expect(JSON.stringify(problemOf(bug, "req_1"))).not.toContain("hunter2");
});

test("a database that is away is service.unavailable, in each of the ways drivers say it", () => {
  const ways = [
    Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" }),
    Object.assign(new Error("terminating connection due to administrator command"), { code: "57P01" }),
    Object.assign(new Error("Can't reach database server at 127.0.0.1"), { code: "P1001" }),
    new Error("Connection terminated unexpectedly"),
    new Error("wrapped", { cause: Object.assign(new Error("x"), { code: "ECONNRESET" }) }),
  ];
  for (const error of ways) expect(domainErrorOf(error).code, error.message).toBe("service.unavailable");
  expect(domainErrorOf(Object.assign(new Error("duplicate key"), { code: "23505" })).code).toBe("bug");
});

test("every code has a status that HTTP knows", () => {
  for (const [code, { status }] of Object.entries(errorCodes)) {
    expect(status, code).toBeGreaterThanOrEqual(400);
    expect(status, code).toBeLessThan(600);
  }
});
