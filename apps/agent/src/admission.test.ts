import type { PlanEnvelope } from "@trigon/model";
import { expect, test } from "vitest";
import { judgePlan, type PlanContext } from "./admission.ts";

const fragment = (id: string, hash = "1", kind = "director.service") => ({ id, hash, generation: 1, kind });
const held = (...ids: string[]): PlanContext => ({
  fleetId: "fleet_1",
  nodeId: "node_1",
  position: { fleetId: "fleet_1", epoch: 1, generation: 5, nodeId: "node_1" },
  fragments: new Map(ids.map((id) => [id, fragment(id)])),
  maxRemovalShare: 0.5,
});
const plan = (change: Partial<PlanEnvelope>): PlanEnvelope => ({
  protocol: 1,
  fleetId: "fleet_1",
  epoch: 1,
  generation: 6,
  nodeId: "node_1",
  since: 5,
  observeOnly: false,
  allowMassRemoval: false,
  fragments: [],
  tombstones: [],
  ...change,
});

test.each([
  ["of another fleet", { fleetId: "fleet_2" }, "fleet.foreign"],
  ["for another node", { nodeId: "node_2" }, "node.foreign"],
  ["of an older generation", { generation: 4, since: null }, "plan.older"],
  ["of an older epoch", { epoch: 0, generation: 900, since: null }, "plan.older"],
  ["of another protocol", { protocol: 9 }, "protocol.unsupported"],
  ["marked observe-only", { observeOnly: true }, "fleet.observeOnly"],
])("a plan %s is refused", (_, change, reason) => {
  expect(judgePlan(plan(change), held("a"))).toMatchObject({ verdict: "refuse", reason });
});

test("an empty whole plan of the same fleet removes nothing of a loaded node", () => {
  expect(judgePlan(plan({ since: null }), held("a", "b", "c", "d"))).toMatchObject({
    verdict: "refuse",
    reason: "plan.massRemoval",
  });
});

test("with an operator's mark, mass removal is accepted", () => {
  const verdict = judgePlan(plan({ since: null, allowMassRemoval: true }), held("a", "b", "c", "d"));
  expect(verdict).toMatchObject({ verdict: "accept", step: { tombstones: ["a", "b", "c", "d"] } });
});

test("removing up to the allowed share, or all of three services, needs no mark", () => {
  expect(judgePlan(plan({ tombstones: ["a", "b"] }), held("a", "b", "c", "d"))).toMatchObject({ verdict: "accept" });
  expect(judgePlan(plan({ tombstones: ["a", "b", "c"] }), held("a", "b", "c", "d"))).toMatchObject({ verdict: "refuse" });
  expect(judgePlan(plan({ tombstones: ["a", "b", "c"] }), held("a", "b", "c"))).toMatchObject({ verdict: "accept" });
});

test("a difference from a generation this node never had asks for the whole", () => {
  expect(judgePlan(plan({ since: 7, generation: 8 }), held("a"))).toEqual({ verdict: "gap" });
  expect(judgePlan(plan({ epoch: 2 }), held("a"))).toEqual({ verdict: "gap" });
  expect(judgePlan(plan({}), { ...held(), position: null })).toEqual({ verdict: "gap" });
});

test("only what differs is a step, and unknown tombstones are no error", () => {
  const verdict = judgePlan(
    plan({ fragments: [fragment("a"), fragment("b", "2"), fragment("c")], tombstones: ["z"] }),
    held("a", "b"),
  );
  expect(verdict).toMatchObject({ verdict: "accept", step: { generation: 6, tombstones: [] } });
  expect(verdict.verdict === "accept" && verdict.step.fragments.map(({ id }) => id)).toEqual(["b", "c"]);
});
