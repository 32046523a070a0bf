import { type VirtualServiceInput, VirtualServiceSpec } from "@trigon/model";
import { expect, test } from "vitest";
import { factsOf } from "../test/facts.ts";
import { nodeOf } from "../test/fleet.ts";
import { type LintContext, type LintNeighbour, lintService } from "./lint.ts";

const director = nodeOf("node_d1", "192.0.2.2");
const server = nodeOf("node_r1", "192.0.2.21");
const context: LintContext = {
  group: { activeNodeId: director.id, mode: "single", floatingAddresses: [] },
  nodes: [director, server],
  neighbours: [],
};
const good: VirtualServiceInput = {
  name: "web",
  vip: "192.0.2.10",
  port: 80,
  forwarding: "dr",
  realServers: [{ rip: "192.0.2.21" }],
};
const neighbour = (more: Partial<LintNeighbour> = {}): LintNeighbour => ({
  name: "shop",
  enabled: true,
  vip: "192.0.2.10",
  protocol: "tcp",
  port: 443,
  forwarding: "dr",
  realServers: [{ rip: "192.0.2.21", forwarding: null }],
  ...more,
});

function findingsOf(change: Partial<VirtualServiceInput>, more: Partial<LintContext> = {}, port?: number) {
  const spec = VirtualServiceSpec.parse({ ...good, ...change });
  return lintService(port === undefined ? spec : { ...spec, port }, { ...context, ...more });
}
const codesOf = (...input: Parameters<typeof findingsOf>) => findingsOf(...input).map(({ code }) => code);
const rip = (...realServers: VirtualServiceInput["realServers"] & {}) => ({ realServers });

test.each<[string, Partial<VirtualServiceInput>, string[]]>([
  ["nothing", {}, []],
  ["no real server", { realServers: [] }, ["service.empty"]],
  ["all at weight 0", rip({ rip: "192.0.2.21", weight: 0 }), ["service.quiesced"]],
  [
    "none active",
    rip(
      { rip: "192.0.2.21", adminState: "draining" },
      { rip: "192.0.2.21", adminState: "disabled" },
      { rip: "192.0.2.21", weight: 0 },
    ),
    ["service.noneActive"],
  ],
  ["nothing about one that drains", rip({ rip: "192.0.2.21" }, { rip: "192.0.2.21", adminState: "draining" }), []],
  [
    "a drain that honours persistence",
    {
      persistence: { timeoutSeconds: 300 },
      ...rip({ rip: "192.0.2.21" }, { rip: "192.0.2.21", adminState: "draining", drain: { mode: "honourPersistence" } }),
    },
    ["drain.honoursForAll"],
  ],
  ["a slow start of weights with steps", { slowStartSeconds: 30, ...rip({ rip: "192.0.2.21", weight: 10 }) }, []],
  ["a slow start of weight 1", { slowStartSeconds: 30 }, ["slowStart.smallWeight"]],
  ["a slow start with sh", { slowStartSeconds: 30, scheduler: "sh" }, ["slowStart.unweighted"]],
  [
    "sh that refuses a quiesced server's clients",
    { scheduler: "sh", ...rip({ rip: "192.0.2.21" }, { rip: "192.0.2.21", weight: 0 }) },
    ["scheduler.noFallback"],
  ],
  [
    "mh that refuses a quiesced server's clients",
    { scheduler: "mh", ...rip({ rip: "192.0.2.21" }, { rip: "192.0.2.21", weight: 0 }) },
    ["scheduler.noFallback"],
  ],
  [
    "nothing about sh with fallback",
    { scheduler: "sh", schedulerFlags: ["fallback"], ...rip({ rip: "192.0.2.21" }, { rip: "192.0.2.21", weight: 0 }) },
    [],
  ],
  ["a DR real server that nobody enrolled", rip({ rip: "192.0.2.99" }), ["realServer.unmanaged"]],
  [
    "NAT replies that pass the director by, to clients of the same network too",
    { forwarding: "nat" },
    ["nat.replyPath", "nat.sharedNetwork"],
  ],
  ["NAT with a VIP of another network", { forwarding: "nat", vip: "203.0.113.10" }, ["nat.replyPath"]],
  ["nothing about full NAT, whose replies come back by themselves", { forwarding: "fullnat" }, []],
  ["the overhead of Tunnel", { forwarding: "tun" }, ["tunnel.mtu"]],
  ["a port where clients idle for hours", { port: 5432 }, ["tcp.idleTimeout"]],
  ["nothing about the same port of UDP", { port: 5432, protocol: "udp" }, []],
  ["a sorry server on another port in DR", { health: { sorryServer: { rip: "192.0.2.30", port: 8080 } } }, ["direct.portMapped"]],
  ["nothing about a sorry server by NAT", { health: { sorryServer: { rip: "192.0.2.30", port: 8080, forwarding: "nat" } } }, []],
])("lint finds %s", (_name, change, expected) => {
  expect(codesOf(change)).toEqual(expected);
});

test("in a pair, a NAT real server whose gateway stays with one director is found, and one whose gateway floats is not", () => {
  const behind = nodeOf("node_r1", "192.0.2.21", {
    facts: factsOf({
      hostname: "r1",
      legs: { eth0: ["192.0.2.21/24"] },
      gateway: director.facts!.interfaces[1]!.addresses[0]!.address,
    }),
  });
  const nat = { forwarding: "nat", vip: "203.0.113.10" } as const;
  const pair = (...floatingAddresses: string[]) => ({
    nodes: [director, behind],
    group: { activeNodeId: director.id, mode: "vrrp" as const, floatingAddresses },
  });
  expect(codesOf(nat, pair())).toEqual(["nat.gatewayStays"]);
  expect(codesOf(nat, { ...pair(), group: { ...pair().group, mode: "single" } })).toEqual([]);
  const floating = nodeOf("node_r1", "192.0.2.21", {
    facts: factsOf({ hostname: "r1", legs: { eth0: ["192.0.2.21/24"] }, gateway: "192.0.2.7" }),
  });
  expect(codesOf(nat, { ...pair("192.0.2.7"), nodes: [director, floating] })).toEqual([]);
  expect(codesOf(nat, { ...pair(), nodes: [director, floating] })).toEqual(["nat.replyPath"]);
  const [found] = findingsOf(nat, { ...pair("192.0.2.7"), nodes: [director, nodeOf("node_r1", "192.0.2.21")] });
  expect(found?.fix).toContain("via 192.0.2.7 dev eth0");
});

test.each<[string, Partial<VirtualServiceInput>, LintNeighbour, string[]]>([
  ["full NAT beside DR", { forwarding: "fullnat" }, neighbour({ vip: "192.0.2.11" }), ["fullnat.besideDirect"]],
  ["DR beside full NAT", {}, neighbour({ vip: "192.0.2.11", forwarding: "fullnat" }), ["fullnat.besideDirect"]],
  ["nothing about full NAT beside NAT", { forwarding: "fullnat" }, neighbour({ vip: "192.0.2.11", forwarding: "nat" }), []],
  ["nothing about one that is switched off", {}, neighbour({ vip: "192.0.2.11", forwarding: "fullnat", enabled: false }), []],
  [
    "a real server that cannot be a client of its own VIP",
    {},
    neighbour({ realServers: [{ rip: "192.0.2.22", forwarding: null }] }),
    ["realServer.ownClient"],
  ],
  ["nothing when it serves the other service too", {}, neighbour(), []],
  ["one port beside all ports of a VIP", {}, neighbour({ port: 0 }), ["service.overlaps"]],
  ["nothing beside all ports of UDP", {}, neighbour({ port: 0, protocol: "udp" }), []],
])("beside another service, lint finds %s", (_name, change, other, expected) => {
  expect(codesOf(change, { neighbours: [other] })).toEqual(expected);
});

test("all ports without persistence take no packet", () => {
  expect(codesOf({}, {}, 0)).toEqual(["allPorts.notPersistent"]);
  expect(codesOf({ persistence: { timeoutSeconds: 300 } }, {}, 0)).toEqual([]);
});

test("DR between networks that only one side takes for one", () => {
  const narrow = nodeOf("node_r1", "192.0.2.21", {
    facts: factsOf({ hostname: "r1", legs: { eth0: ["192.0.2.21/28"] }, gateway: "192.0.2.17" }),
  });
  expect(codesOf({}, { nodes: [director, narrow] })).toEqual(["dr.acrossSubnets"]);
});

test("NAT by the director's own address is right, and the remedy names the way back", () => {
  const through = nodeOf("node_r1", "192.0.2.21", {
    facts: factsOf({ hostname: "r1", legs: { eth0: ["192.0.2.21/24"] }, gateway: "192.0.2.2" }),
  });
  expect(codesOf({ forwarding: "nat", vip: "203.0.113.10" }, { nodes: [director, through] })).toEqual([]);
  expect(findingsOf({ forwarding: "nat" })[0]?.fix).toContain(
    "ip rule add from 192.0.2.21 lookup 100; ip route add default via 192.0.2.2 dev eth0 table 100",
  );
});
