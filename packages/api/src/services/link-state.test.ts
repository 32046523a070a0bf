import { expect, test } from "vitest";
import { type LinkFacts, linkState } from "./link-state.ts";

const serving: LinkFacts = {
  isServiceEnabled: true,
  director: { name: "lb-1", isConnected: true },
  adminState: "active",
  weight: 1,
  gate: { state: "open", reason: null },
  isAdmitted: true,
  health: { isOut: false, message: null },
  path: { state: "proved", message: null },
  parts: [{ state: "inSync", reason: "node.applied", message: "" }],
};
const said = (more: Partial<LinkFacts>) => linkState({ ...serving, ...more });

test("a real server that is admitted, healthy and reached serves", () => {
  expect(said({})).toEqual({ state: "serving", reason: null, message: null });
  expect(said({ health: undefined, path: undefined, parts: [] }).state).toBe("serving");
});

test("what somebody asked for is idle, and what stands in the way is broken with its own words", () => {
  expect(said({ isServiceEnabled: false, director: null })).toMatchObject({ state: "idle", reason: "service.disabled" });
  expect(said({ adminState: "maintenance" })).toMatchObject({ state: "idle", reason: "adminState.maintenance" });
  expect(said({ adminState: "draining" })).toMatchObject({ state: "idle", reason: "adminState.draining" });
  expect(said({ weight: 0 })).toMatchObject({ state: "idle", reason: "weight.zero" });
  expect(said({ director: null })).toMatchObject({ state: "broken", reason: "director.none" });
  expect(said({ isAdmitted: false, gate: { state: "waiting", reason: "rs-1 has not bound the VIP." } })).toEqual({
    state: "broken",
    reason: "gate.waiting",
    message: "rs-1 has not bound the VIP.",
  });
  expect(said({ health: { isOut: true, message: "connection refused" } })).toMatchObject({ message: "connection refused" });
  expect(said({ path: { state: "failed", message: "the reply was lost" } })).toMatchObject({ reason: "path.failed" });
});

test("a director that nobody hears of is unknown, unless something worse is known of it", () => {
  const director = { name: "lb-1", isConnected: false };
  expect(said({ director })).toMatchObject({ state: "unknown", message: "lb-1 is not connected." });
  const parts = [{ state: "failed" as const, reason: "x", message: "rs-1: no such device" }];
  expect(said({ director, parts })).toMatchObject({ state: "broken", message: "rs-1: no such device" });
});
