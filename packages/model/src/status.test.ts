import { expect, test } from "vitest";
import { type NodePart, summarise } from "./status.ts";

function part(nodeName: string, change: Partial<NodePart> = {}): NodePart {
  const reported = { hash: "h1", state: "applied", reason: null, message: null } as const;
  return { nodeId: nodeName, nodeName, isConnected: true, wantedHash: "h1", reported, ...change };
}
const said = (state: "failed" | "conflict" | "waiting" | "unsupported" | "applied", hash = "h1") => ({
  reported: { hash, state, reason: `why.${state}`, message: `it ${state}` },
});

test("in sync only when every part reported the wanted hash as applied", () => {
  expect(summarise([part("d1"), part("r1")]).state).toBe("inSync");
  expect(summarise([part("d1"), part("r1", { wantedHash: "h2" })])).toMatchObject({
    state: "applying",
    message: expect.stringContaining("r1"),
  });
  expect(summarise([part("d1"), part("r1", { reported: null })]).state).toBe("applying");
});

test("the worst part speaks, with its own reason and name", () => {
  const parts = [part("d1", said("waiting")), part("r1", said("conflict")), part("r2", said("failed"))];
  expect(summarise(parts)).toEqual({ state: "failed", reason: "why.failed", message: "r2: it failed" });
  expect(summarise(parts.slice(0, 2)).state).toBe("conflict");
  expect(summarise(parts.slice(0, 1)).state).toBe("waiting");
});

test("a fragment that an agent does not understand is a failure", () => {
  expect(summarise([part("d1", said("unsupported"))]).state).toBe("failed");
});

test("an older report's trouble is not about what is wanted now", () => {
  expect(summarise([part("d1", said("failed", "h0"))]).state).toBe("applying");
});

test("silence is unknown, never fine", () => {
  expect(summarise([part("d1"), part("r1", { isConnected: false })])).toMatchObject({
    state: "unknown",
    reason: "node.disconnected",
  });
});

test("no parts is waiting; switched off is its own state", () => {
  expect(summarise([]).state).toBe("waiting");
  expect(summarise([part("d1", said("failed"))], false).state).toBe("disabled");
});
