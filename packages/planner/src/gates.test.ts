import { beforeEach, describe, expect, test } from "vitest";
import { nodeOf, vip, World } from "../test/fleet.ts";
import { fleetOf } from "./fleet.ts";
import { gateReason, hasLetGoOfVips } from "./gates.ts";

const first = { id: "rs_1", rip: "192.0.2.21" };
const second = { id: "rs_2", rip: "192.0.2.22" };
const web = { vip, port: 80, forwarding: "dr" } as const;
let world: World;

beforeEach(() => {
  world = new World([
    nodeOf("node_d1", "192.0.2.2"),
    nodeOf("node_d2", "192.0.2.3"),
    nodeOf("node_r1", "192.0.2.21"),
    nodeOf("node_r2", "192.0.2.22"),
  ]);
});

/** Every node holds its plan, again and again until nothing moves. */
function settle() {
  for (let round = 0; round < 4; round++) for (const id of world.nodes.keys()) world.report(id);
}

test("a director does not know a real server before that one says it holds the VIP", () => {
  world.save({ ...web, realServers: [first] });
  expect(world.destinations()).toEqual([]);
  expect(world.served("node_r1")).toEqual([`${vip}:80 dr`]);
  world.report("node_d1");
  expect(world.destinations()).toEqual([]);
  world.report("node_r1");
  expect(world.destinations()).toEqual([`${vip} > 192.0.2.21:80 dr`]);
});

test("a real server that failed is not admitted, and the gate says why", () => {
  world.save({ ...web, realServers: [first] });
  const [fragment] = world.plan().get("node_r1")!;
  const state = { id: fragment!.id, hash: fragment!.hash, state: "failed", reason: "EPERM", message: "not permitted" } as const;
  world.reports.set("node_r1", { generation: world.sequence, fragments: new Map([[state.id, state]]) });
  world.touch();
  expect(world.destinations()).toEqual([]);
  expect(gateReason(world.gates[0]!, fleetOf(world.nodes.values()), (id) => world.reports.get(id))).toEqual({
    code: "trouble",
    message: "r1: not permitted",
    values: { node: "r1", why: "not permitted" },
  });
});

test("an unmanaged real server and those of NAT are admitted at once, and nothing is asked of their nodes", () => {
  world.save({
    ...web,
    realServers: [
      { id: "rs_9", rip: "192.0.2.99" },
      { ...first, forwarding: "nat", port: 8080 },
      { ...second, forwarding: "fullnat" },
    ],
  });
  expect(world.destinations()).toEqual([
    `${vip} > 192.0.2.21:8080 nat`,
    `${vip} > 192.0.2.22:80 fullnat`,
    `${vip} > 192.0.2.99:80 dr`,
  ]);
  expect(world.served("node_r1")).toEqual([]);
});

test("a removed real server keeps the VIP until the director says that it let go", () => {
  world.save({ ...web, realServers: [first, second] });
  settle();
  world.save({ ...web, realServers: [second] });
  expect(world.destinations()).toEqual([`${vip} > 192.0.2.22:80 dr`]);
  expect(world.served("node_r1")).toEqual([`${vip}:80 dr`]);
  world.report("node_r1");
  expect(world.served("node_r1")).toEqual([`${vip}:80 dr`]);
  world.report("node_d1");
  expect(world.served("node_r1")).toEqual([]);
  expect(world.states()).toEqual(["rs_2 node_d1 open"]);
});

test("a report of an older generation lets nothing go", () => {
  world.save({ ...web, realServers: [first] });
  settle();
  const older = world.reports.get("node_d1")!;
  world.save({ ...web, realServers: [] });
  world.reports.set("node_d1", older);
  world.touch();
  expect(world.served("node_r1")).toEqual([`${vip}:80 dr`]);
});

test.each(["deleted", "disabled"])(
  "a %s service is taken from the director first, then from its real servers, then from the gates",
  (how) => {
    world.save({ ...web, realServers: [first] });
    settle();
    const { service } = world;
    world.service =
      how === "deleted" ? { ...service!, deleted: true } : { ...service!, spec: { ...service!.spec, enabled: false } };
    world.touch();
    expect(world.plan().get("node_d1")).toBeUndefined();
    expect(world.served("node_r1")).toEqual([`${vip}:80 dr`]);
    settle();
    expect(world.plan().size).toBe(0);
    expect(world.gates).toEqual([]);
  },
);

test("an open gate stays open through silence, restarts and unrelated edits", () => {
  world.save({ ...web, realServers: [first] });
  settle();
  world.reports.delete("node_r1");
  world.touch();
  world.save({ ...web, scheduler: "rr", realServers: [{ ...first, weight: 7 }, second] });
  expect(world.destinations()).toEqual([`${vip} > 192.0.2.21:80 dr`]);
});

test("a changed forwarding keeps the old destination until the new one is admitted, and the node serves both meanwhile", () => {
  world.save({ ...web, realServers: [first] });
  settle();
  world.save({ ...web, forwarding: "tun", realServers: [first] });
  expect(world.destinations()).toEqual([`${vip} > 192.0.2.21:80 dr`]);
  expect(world.served("node_r1").toSorted()).toEqual([`${vip}:80 dr`, `${vip}:80 tun`]);
  world.report("node_r1");
  expect(world.destinations()).toEqual([`${vip} > 192.0.2.21:80 tun`]);
  expect(world.served("node_r1").toSorted()).toEqual([`${vip}:80 dr`, `${vip}:80 tun`]);
  world.report("node_d1");
  expect(world.served("node_r1")).toEqual([`${vip}:80 tun`]);
});

test("a changed VIP leaves the old one working until the new one is served", () => {
  world.save({ ...web, realServers: [first] });
  settle();
  world.save({ ...web, vip: "192.0.2.11", realServers: [first] });
  expect(world.destinations()).toEqual([`${vip} > 192.0.2.21:80 dr`]);
  expect(world.served("node_r1").toSorted()).toEqual([`${vip}:80 dr`, "192.0.2.11:80 dr"].toSorted());
  settle();
  expect(world.destinations()).toEqual(["192.0.2.11 > 192.0.2.21:80 dr"]);
  expect(world.served("node_r1")).toEqual(["192.0.2.11:80 dr"]);
});

test("a NAT real server that becomes DR goes on as NAT until it holds the VIP", () => {
  world.save({ ...web, forwarding: "nat", realServers: [first] });
  settle();
  world.save({ ...web, realServers: [first] });
  expect(world.destinations()).toEqual([`${vip} > 192.0.2.21:80 nat`]);
  world.report("node_r1");
  expect(world.destinations()).toEqual([`${vip} > 192.0.2.21:80 dr`]);
});

test("a real server enrolled later is not interrupted while it gets ready", () => {
  const [node] = [world.nodes.get("node_r1")!];
  world.nodes.delete("node_r1");
  world.save({ ...web, realServers: [first] });
  expect(world.destinations()).toEqual([`${vip} > 192.0.2.21:80 dr`]);
  world.nodes.set("node_r1", node);
  world.touch();
  expect(world.destinations()).toEqual([`${vip} > 192.0.2.21:80 dr`]);
  expect(world.states()).toEqual(["rs_1 node_d1 waiting"]);
  world.report("node_r1");
  expect(world.states()).toEqual(["rs_1 node_d1 open"]);
});

test("a revoked director is waited for by nobody", () => {
  world.save({ ...web, realServers: [first] });
  settle();
  world.nodes.set("node_d1", { ...world.nodes.get("node_d1")!, state: "revoked" });
  world.touch();
  expect(world.plan().size).toBe(0);
  expect(world.gates).toEqual([]);
});

describe("when the group's active member changes", () => {
  beforeEach(() => {
    world.save({ ...web, forwarding: "tun", realServers: [first] });
    settle();
    world.group = { ...world.group, activeNodeId: "node_d2", releasing: { nodeId: "node_d1", sequence: world.sequence + 1 } };
    world.touch();
  });

  test("the real server serves both directors until the old one let go", () => {
    const [fragment] = world.plan().get("node_r1")!;
    expect(fragment).toMatchObject({ directors: [{ nodeId: "node_d1" }, { nodeId: "node_d2" }] });
    expect(world.plan().get("node_d1")).toBeUndefined();
    settle();
    expect(world.plan().get("node_r1")![0]).toMatchObject({ directors: [{ nodeId: "node_d2" }] });
    expect(world.states()).toEqual(["rs_1 node_d2 open"]);
  });

  test("the VIPs are let go by a report that has none, of the change that took them or a later one", () => {
    const fleet = fleetOf(world.nodes.values());
    const said =
      (generation: number, ...ids: string[]) =>
      () => ({
        generation,
        fragments: new Map(ids.map((id) => [id, { id, hash: "", state: "applied" as const, reason: null, message: null }])),
      });
    expect(hasLetGoOfVips(world.group, fleet, () => undefined)).toBe(false);
    expect(hasLetGoOfVips(world.group, fleet, said(world.sequence - 1))).toBe(false);
    expect(hasLetGoOfVips(world.group, fleet, said(world.sequence, `dv:${vip}`))).toBe(false);
    expect(hasLetGoOfVips(world.group, fleet, said(world.sequence))).toBe(true);
  });
});
