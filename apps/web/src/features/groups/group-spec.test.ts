import { DirectorGroupSpec, type DirectorGroupView } from "@trigon/model";
import { expect, test } from "vitest";
import { specOf, toSpec, valuesOf } from "./group-spec.ts";

const member = (nodeId: string) => ({
  ...{ nodeId, name: nodeId, isActive: false, isConnected: true, priority: null, isJoined: false },
  ...{ role: null, since: null, isReady: null, syncDaemons: [], findings: [] },
});
const viewOf = (spec: Partial<DirectorGroupSpec>): DirectorGroupView => ({
  ...DirectorGroupSpec.parse({ name: "edge", ...spec }),
  id: "dg_1",
  revision: 3,
  members: [member("node_a"), member("node_b")],
  status: {
    ...{ phase: "single", holderNodeId: null, virtualRouterId: null, vips: [], lastTakeover: null, findings: [] },
    move: { toNodeId: null, refusal: null },
  },
});

test("a group that nobody touched is sent back as it was", () => {
  const vrrp = {
    ...DirectorGroupSpec.parse({ name: "x" }).vrrp,
    members: [{ nodeId: "node_b", priority: 120 }],
    virtualRouterId: 9,
  };
  for (const view of [viewOf({}), viewOf({ mode: "vrrp", vrrp, activeNodeId: "node_a" })])
    expect(toSpec(view, valuesOf(view)).spec).toEqual(specOf(view));
});

test("only directors with a priority are members, and an error goes back to the box it came from", () => {
  const view = viewOf({});
  const values = { ...valuesOf(view), everyone: false, priorities: { node_a: " ", node_b: "90" }, interface: " eth1 " };
  const { spec, toForm } = toSpec(view, values);
  expect(spec).toMatchObject({
    vrrp: { members: [{ nodeId: "node_b", priority: 90 }], interface: "eth1", virtualRouterId: null },
  });
  expect(toForm("/vrrp/members/0/priority")).toBe("/priorities/node_b");
  expect(toForm("/vrrp/advertMs")).toBe("/advertMs");
  expect(toForm("/activeNodeId")).toBe("/activeNodeId");
});

test("what is no number is left for the schema to refuse", () => {
  const view = viewOf({});
  const { spec } = toSpec(view, { ...valuesOf(view), advertMs: "fast" });
  expect(DirectorGroupSpec.safeParse(spec).error?.issues.map(({ path }) => path.join("."))).toEqual(["vrrp.advertMs"]);
});
