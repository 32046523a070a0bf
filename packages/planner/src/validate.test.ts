import { type VirtualServiceInput, VirtualServiceSpec } from "@trigon/model";
import { expect, test } from "vitest";
import { factsOf } from "../test/facts.ts";
import { nodeOf } from "../test/fleet.ts";
import { type ValidationContext, validateService } from "./validate.ts";

const director = nodeOf("node_d1", "192.0.2.2", {
  facts: { ...factsOf({ hostname: "d1", legs: { eth0: ["192.0.2.2/24"] }, gateway: "192.0.2.1" }), resolvers: ["192.0.2.53"] },
});
const context: ValidationContext = {
  id: "vs_1",
  group: { id: "dg_1", activeNodeId: director.id, floatingAddresses: ["192.0.2.7", "2001:db8::7"] },
  floating: [{ address: "192.0.2.7", group: "edge" }],
  nodes: [director, nodeOf("node_r1", "192.0.2.21")],
  others: [
    { id: "vs_1", name: "web", groupId: "dg_1", vip: "192.0.2.10", protocol: "tcp", port: 80 },
    { id: "vs_2", name: "shop", groupId: "dg_1", vip: "192.0.2.10", protocol: "tcp", port: 443 },
    { id: "vs_3", name: "far", groupId: "dg_2", vip: "192.0.2.30", protocol: "tcp", port: 80 },
  ],
  controllerAddresses: ["192.0.2.5"],
};
const good: VirtualServiceInput = {
  name: "web",
  vip: "192.0.2.10",
  port: 80,
  forwarding: "dr",
  realServers: [{ rip: "192.0.2.21" }],
};

function errorsOf(change: Partial<VirtualServiceInput>, more: Partial<ValidationContext> = {}): string[] {
  const spec = VirtualServiceSpec.parse({ ...good, ...change });
  return validateService(spec, { ...context, ...more }).map(({ pointer, code }) => `${pointer} ${code}`);
}

test("a good service has no error", () => {
  expect(errorsOf({})).toEqual([]);
});

const pem = (label: string) => `-----BEGIN ${label}-----\nMIIB\n-----END ${label}-----\n`;
const tlsCheck = (ca: string) => ({ kind: "tls", verify: true, ca }) as const;
const rip = (...realServers: VirtualServiceInput["realServers"] & {}) => ({ realServers });
test.each<[string, Partial<VirtualServiceInput>, string[]]>([
  ["a name of another service", { name: "shop" }, ["/name name.taken"]],
  ["a loopback VIP", { vip: "127.0.0.9", realServers: [] }, ["/vip vip.unusable"]],
  ["a multicast VIP", { vip: "224.0.0.9", realServers: [] }, ["/vip vip.unusable"]],
  ["a network's broadcast address", { vip: "192.0.2.255" }, ["/vip vip.unusable"]],
  ["a network's own address", { vip: "192.0.2.0" }, ["/vip vip.unusable"]],
  ["a node's address", { vip: "192.0.2.2" }, ["/vip vip.isNodeAddress"]],
  ["a floating address", { vip: "192.0.2.7" }, ["/vip vip.isFloating"]],
  [
    "a SNAT source that does not move",
    { forwarding: "fullnat", snatSource: "192.0.2.8" },
    ["/snatSource snatSource.notFloating"],
  ],
  [
    "a SNAT source of the other family",
    { forwarding: "fullnat", snatSource: "2001:db8::7" },
    ["/snatSource snatSource.familyMismatch"],
  ],
  ["nothing about a SNAT source that floats", { forwarding: "fullnat", snatSource: "192.0.2.7" }, []],
  ["a gateway", { vip: "192.0.2.1" }, ["/vip vip.isGateway"]],
  ["a resolver", { vip: "192.0.2.53" }, ["/vip vip.isResolver"]],
  ["the controller's address", { vip: "192.0.2.5" }, ["/vip vip.isController"]],
  ["another group's VIP", { vip: "192.0.2.30", port: 81 }, ["/vip vip.otherGroup"]],
  ["a VIP and port taken", { port: 443 }, ["/port service.duplicate"]],
  ["another port on a DR real server", rip({ rip: "192.0.2.21", port: 8080 }), ["/realServers/0/port realServer.portMismatch"]],
  [
    "another port on a Tunnel real server",
    { forwarding: "tun", ...rip({ rip: "192.0.2.21", port: 8080 }) },
    ["/realServers/0/port realServer.portMismatch"],
  ],
  ["another port by NAT", { forwarding: "nat", ...rip({ rip: "192.0.2.21", port: 8080 }) }, []],
  ["an off-link RIP for DR", rip({ rip: "198.51.100.7" }), ["/realServers/0/rip realServer.offLink"]],
  ["an off-link RIP for Tunnel", { forwarding: "tun", ...rip({ rip: "198.51.100.7" }) }, []],
  ["an off-link RIP with its own Tunnel", rip({ rip: "198.51.100.7", forwarding: "tun" }), []],
  ["a RIP that is the VIP", rip({ rip: "192.0.2.10" }), ["/realServers/0/rip realServer.isVip"]],
  ["a RIP twice", rip({ rip: "192.0.2.21" }, { rip: "192.0.2.21" }), ["/realServers/1/rip realServer.duplicate"]],
  ["a RIP twice, on other ports", { forwarding: "nat", ...rip({ rip: "192.0.2.21" }, { rip: "192.0.2.21", port: 81 }) }, []],
  [
    "a RIP of the other family",
    { forwarding: "nat", ...rip({ rip: "2001:db8::7" }) },
    ["/realServers/0/rip realServer.familyMismatch"],
  ],
  ["an IPv6 Tunnel", { forwarding: "tun", vip: "2001:db8::10", realServers: [] }, ["/forwarding tunnel.ipv6Unsupported"]],
  [
    "a lower threshold above the upper",
    rip({ rip: "192.0.2.21", upperThreshold: 5, lowerThreshold: 6 }),
    ["/realServers/0/lowerThreshold realServer.thresholds"],
  ],
  ["an unknown node", rip({ rip: "192.0.2.21", nodeId: "node_x" }), ["/realServers/0/nodeId node.unknown"]],
  [
    "a flag that only sh and mh know",
    { scheduler: "rr", schedulerFlags: ["fallback"] },
    ["/schedulerFlags scheduler.flagUnsupported"],
  ],
  ["one-packet scheduling of TCP", { onePacket: true }, ["/onePacket onePacket.notUdp"]],
  [
    "33 bits of an IPv4 address",
    { persistence: { timeoutSeconds: 60, granularity: 33 } },
    ["/persistence/granularity persistence.granularity"],
  ],
  ["a check of the VIP by TCP", { health: { check: { kind: "tcp", target: "vip" } } }, []],
  ["a check of the VIP by TLS", { health: { check: { kind: "tls", target: "vip" } } }, ["/health/check/target health.vipKind"]],
  [
    "a check of a UDP service's VIP",
    { protocol: "udp", health: { check: { kind: "tcp", target: "vip" } } },
    ["/health/check/target health.vipProtocol"],
  ],
  [
    "a check of the VIP by another port",
    { health: { check: { kind: "http", target: "vip", port: 81 } } },
    ["/health/check/port health.vipPort"],
  ],
  [
    "a check of the VIP where one real server is by NAT",
    { health: { check: { kind: "tcp", target: "vip" } }, ...rip({ rip: "192.0.2.21", forwarding: "nat" }) },
    ["/health/check/target health.vipNat"],
  ],
  ["an authority that is no PEM", { health: { check: tlsCheck("shop.example") } }, ["/health/check/ca health.ca"]],
  ["an authority that is a key", { health: { check: tlsCheck(pem("PRIVATE KEY")) } }, ["/health/check/ca health.ca"]],
  ["two authorities and a note", { health: { check: tlsCheck(`ours:\n${pem("CERTIFICATE")}${pem("CERTIFICATE")}`) } }, []],
])("%s", (_name, change, expected) => {
  expect(errorsOf(change)).toEqual(expected);
});

test("a group must be known when there is not exactly one", () => {
  expect(errorsOf({}, { group: null })).toContain("/directorGroupId group.required");
  expect(errorsOf({ directorGroupId: "dg_9" }, { group: null })).toContain("/directorGroupId group.unknown");
});

test("an unknown director refuses no RIP", () => {
  expect(errorsOf(rip({ rip: "198.51.100.7" }), { nodes: [] })).toEqual([]);
});
