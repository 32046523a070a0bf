import { type DirectorServiceFragment, HealthCheck, type ServiceHealth, VirtualServiceSpec } from "@trigon/model";
import { describe, expect, test } from "vitest";
import { factsOf } from "../test/facts.ts";
import { nodeOf, World } from "../test/fleet.ts";
import { resolveFragment } from "./resolve.ts";
import { validateService } from "./validate.ts";

const facts = factsOf({ legs: { eth0: ["192.0.2.11/24"] }, gateway: "192.0.2.1" });
const world = () => new World([nodeOf("node_d1", "192.0.2.11")]);
type Input = Parameters<World["save"]>[0];
const realServers = [
  { id: "rs_1", rip: "192.0.2.21", weight: 5 },
  { id: "rs_2", rip: "192.0.2.22", weight: 3 },
];

function planned(change: Partial<Input>): DirectorServiceFragment {
  const fleet = world();
  fleet.save({ vip: "192.0.2.10", port: 80, forwarding: "nat", scheduler: "wrr", realServers, ...change });
  const fragment = fleet.plan().get("node_d1")![0]!;
  if (fragment.kind !== "director.service") throw new Error("a director's service is expected first");
  return fragment;
}

/** `192.0.2.21:80 w5` of each destination. */
function weights(fragment: DirectorServiceFragment, health?: ServiceHealth): string[] {
  return resolveFragment(fragment, facts, health).flatMap((resource) =>
    resource.kind === "ipvsDestination" ? [`${resource.address}:${resource.port} w${resource.weight}`] : [],
  );
}
const normal = (...out: string[]): ServiceHealth => ({ mode: "normal", out: new Set(out) });
const all = ["192.0.2.21:80 w5", "192.0.2.22:80 w3"];

describe("what a director serves with", () => {
  test("a plan spells the default check out", () => {
    expect(planned({}).health?.check).toMatchObject({ kind: "tcp", port: null, intervalMs: 2000 });
    expect(planned({ protocol: "udp", port: 53 }).health?.check.kind).toBe("icmp");
    expect(planned({ health: { check: { kind: "none" } } }).health).toBeUndefined();
  });

  test("no word of health, or none against anybody: every desired weight", () => {
    expect(weights(planned({}))).toEqual(all);
    expect(weights(planned({}), normal())).toEqual(all);
  });

  test("a failed real server is inhibited, or removed where that is wished", () => {
    expect(weights(planned({}), normal("rs_1"))).toEqual(["192.0.2.21:80 w0", "192.0.2.22:80 w3"]);
    expect(weights(planned({ health: { onFailure: "remove" } }), normal("rs_1"))).toEqual(["192.0.2.22:80 w3"]);
  });

  test("sh and mh without fallback would refuse an inhibited server's clients: it is removed", () => {
    expect(weights(planned({ scheduler: "sh" }), normal("rs_1"))).toEqual(["192.0.2.22:80 w3"]);
    expect(weights(planned({ scheduler: "mh", schedulerFlags: ["fallback"] }), normal("rs_1"))).toContain("192.0.2.21:80 w0");
  });

  test("fail-open brings everybody back at the desired weight", () => {
    expect(weights(planned({}), { mode: "failOpen", out: new Set(["rs_1", "rs_2"]) })).toEqual(all);
  });

  test("the sorry server is there only while it is needed", () => {
    const fragment = planned({ health: { sorryServer: { rip: "192.0.2.99", port: 8080 } } });
    expect(weights(fragment, normal())).toEqual(all);
    expect(weights(fragment, { mode: "sorry", out: new Set(["rs_1", "rs_2"]) })).toEqual([
      "192.0.2.21:80 w0",
      "192.0.2.22:80 w0",
      "192.0.2.99:8080 w1",
    ]);
  });

  test("nothing but destinations comes and goes with health", () => {
    const fragment = planned({ forwarding: "fullnat", health: { onFailure: "remove", sorryServer: { rip: "192.0.2.99" } } });
    const rest = (health?: ServiceHealth) =>
      resolveFragment(fragment, facts, health).filter(({ kind }) => kind !== "ipvsDestination");
    expect(rest(normal("rs_1", "rs_2"))).toEqual(rest());
    expect(rest({ mode: "sorry", out: new Set() })).toEqual(rest());
  });
});

describe("health that cannot be", () => {
  const context = {
    id: null,
    group: { id: "dg_1", activeNodeId: null, floatingAddresses: [] },
    floating: [],
    nodes: [],
    others: [],
    controllerAddresses: [],
  };
  const check = (more: object) => HealthCheck.parse({ kind: "tcp", ...more });
  test.each([
    [{ check: check({ intervalMs: 500, timeoutMs: 600, fastIntervalMs: 500 }) }, "/health/check/timeoutMs"],
    [{ check: check({ intervalMs: 500, timeoutMs: 400 }) }, "/health/check/fastIntervalMs"],
    [{ check: HealthCheck.parse({ kind: "udp", encoding: "hex", payload: "xyz" }) }, "/health/check/payload"],
    [{ quorum: { up: 1, down: 2 } }, "/health/quorum/up"],
    [{ sorryServer: { rip: "192.0.2.21" } }, "/health/sorryServer/rip"],
    [{ sorryServer: { rip: "2001:db8::1" } }, "/health/sorryServer/rip"],
  ])("%j: %s", (health, pointer) => {
    const spec = VirtualServiceSpec.parse({ name: "web", vip: "192.0.2.10", port: 80, forwarding: "nat", realServers, health });
    expect(validateService(spec, context).map((error) => error.pointer)).toEqual([pointer]);
  });
});
