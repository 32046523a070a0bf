import { type DirectorServiceFragment, HealthCheck, HealthSpec, RealServerFragment, type Resource } from "@trigon/model";
import { expect, test } from "vitest";
import { factsOf } from "../test/facts.ts";
import { nodeOf, World } from "../test/fleet.ts";
import { arrivalResources, pathResources } from "./path-resources.ts";

const facts = {
  ...factsOf({ hostname: "d1", legs: { eth0: ["192.0.2.2/24"] }, gateway: "192.0.2.1" }),
  iptables: "nft" as const,
};
const fragment = (target: "rip" | "vip") =>
  ({
    kind: "director.service",
    vip: "192.0.2.10",
    protocol: "tcp",
    provesPaths: true,
    health: { ...HealthSpec.parse({}), check: HealthCheck.parse({ kind: "tcp", target }) },
    destinations: [{ realServerId: "r1", rip: "192.0.2.21", forwarding: "dr" }],
  }) as unknown as DirectorServiceFragment;
const keys = (resources: readonly Resource[]) => resources.map(({ key }) => key);

test("checks of the VIP have a mark and ports of their own, beside those of paths", () => {
  const plain = keys(pathResources(fragment("rip"), facts));
  const checked = pathResources(fragment("vip"), facts);
  expect(
    keys(checked)
      .filter((key) => !plain.includes(key))
      .toSorted(),
  ).toEqual([
    "filterRule 4 filter INPUT check-returned:eth0",
    "filterRule 4 mangle OUTPUT check-mark",
    "filterRule 4 mangle PREROUTING check-returned:eth0",
    "ipvsService fwmark 0.0.0.0 21590",
  ]);
  expect(plain.filter((key) => !keys(checked).includes(key))).toEqual([]);
  expect(new Set(keys(checked)).size).toBe(checked.length);
  const marks = checked.flatMap((one) => (one.kind === "filterRule" && one.id.endsWith("-mark") ? [one.match.join(" ")] : []));
  expect(marks).toEqual([
    "! -d 127.0.0.0/8 -o lo -p tcp -m tcp --sport 64512:65023 -j MARK --set-xmark 0x5452/0xffffffff",
    "! -d 127.0.0.0/8 -o lo -p tcp -m tcp --sport 65024:65535 -j MARK --set-xmark 0x5456/0xffffffff",
  ]);
});

test("IPv6 probes have rules and a service of their own family, and need no word to take in the VIP's replies", () => {
  const facts6 = {
    ...factsOf({ hostname: "d1", legs: { eth0: ["192.0.2.2/24", "2001:db8::2/64"] }, gateway: "192.0.2.1" }),
    iptables: "nft" as const,
  };
  const over6 = {
    ...fragment("vip"),
    vip: "2001:db8::10",
    destinations: [{ realServerId: "r1", rip: "2001:db8::21", forwarding: "dr" }],
  } as unknown as DirectorServiceFragment;
  const resources = pathResources(over6, facts6);
  // Checks of the VIP are for IPv4 only, whatever is wished.
  expect(keys(resources)).toEqual([
    "module ip_vs_rr",
    "ipvsService fwmark :: 21586",
    "filterRule 6 mangle OUTPUT path-mark",
    "filterRule 6 mangle POSTROUTING path-sent",
    "filterRule 6 mangle PREROUTING path-returned:eth0",
    "filterRule 6 filter INPUT path-returned:eth0",
  ]);
  expect(resources[1]).toMatchObject({ protocol: "fwmark", address: "::", port: 0x5452, netmask: 128 });
  expect(resources[2]).toMatchObject({
    match: "! -d ::1/128 -o lo -p tcp -m tcp --sport 64512:65023 -j MARK --set-xmark 0x5452/0xffffffff".split(" "),
  });
});

test("a real server counts the probes of directors of its VIP's family", () => {
  const served = RealServerFragment.parse({
    id: "rs:vs_1",
    hash: "h",
    generation: 1,
    kind: "realServer.serve",
    serviceId: "vs_1",
    name: "web",
    vip: "2001:db8::10",
    protocol: "tcp",
    port: 80,
    encapsulation: "ipip",
    endpoints: [{ realServerId: "r1", rip: "2001:db8::21", port: 80, forwarding: "dr" }],
    directors: [],
    probedFrom: ["192.0.2.2", "2001:db8::2"],
  });
  const rules = arrivalResources(served, facts).map((one) =>
    one.kind === "filterRule" ? `${one.family} ${one.match.join(" ")}` : "",
  );
  const arriving = "6 -s 2001:db8::2/128 -d 2001:db8::10/128 -p tcp -m tcp --sport 64512:65023 --dport 80";
  const answering = "6 -s 2001:db8::10/128 -d 2001:db8::2/128 -p tcp -m tcp --sport 80 --dport 64512:65023";
  expect(rules).toEqual([arriving, arriving, answering]);
});

test("UDP probes have rules of their own beside TCP's, and take in the word that nobody listens", () => {
  const udp = { ...fragment("vip"), protocol: "udp" } as DirectorServiceFragment;
  const resources = pathResources(udp, facts);
  const tcp = pathResources(fragment("rip"), facts);
  const own = keys(resources).filter((key) => !keys(tcp).includes(key));
  expect(own).toEqual([
    "filterRule 4 mangle OUTPUT path-mark:udp",
    "filterRule 4 mangle PREROUTING path-returned:eth0:udp",
    "filterRule 4 filter INPUT path-returned:eth0:udp",
    "filterRule 4 mangle PREROUTING path-returned:eth0:icmp",
    "filterRule 4 filter INPUT path-returned:eth0:icmp",
  ]);
  const shared = resources.filter(({ key }) => !own.includes(key));
  expect(tcp).toEqual(expect.arrayContaining(shared));
  const words = resources.flatMap((one) => (one.kind === "filterRule" ? [one.match.join(" ")] : []));
  expect(words).toContain("! -d 127.0.0.0/8 -o lo -p udp -m udp --sport 64512:65023 -j MARK --set-xmark 0x5452/0xffffffff");
  expect(words).toContain("-i eth0 -p icmp -m icmp --icmp-type 3/3 -m addrtype --src-type LOCAL -j RETURN");
});

test("a real server counts UDP probes behind its firewall, too, where its kernel has a table for that", () => {
  const served = RealServerFragment.parse({
    id: "rs:vs_1",
    hash: "h",
    generation: 1,
    kind: "realServer.serve",
    serviceId: "vs_1",
    name: "dns",
    vip: "192.0.2.10",
    protocol: "udp",
    port: 53,
    encapsulation: "ipip",
    endpoints: [{ realServerId: "r1", rip: "192.0.2.21", port: 53, forwarding: "dr" }],
    directors: [],
    probedFrom: ["192.0.2.2"],
  });
  const rules = (own: object) => keys(arrivalResources(served, { ...facts, ...own }));
  const accepted = "filterRule 4 security INPUT path-accepted:vs_1:192.0.2.2";
  expect(rules({ iptables: "legacy" })).toContain(accepted);
  expect(rules({ iptables: "legacy", lacks: ["iptable_security"] })).not.toContain(accepted);
  expect(rules({ iptables: "nft", lacks: ["iptable_security"] })).toContain(accepted);
  expect(rules({ iptables: "legacy", lacks: ["iptable_security"] })).toHaveLength(3);
});

test("a plan says of IPv6 services, too, that paths are proved, and where from", () => {
  const on = (hostname: string, address: string, address6: string) => ({
    ...nodeOf(`node_${hostname}`, address),
    facts: factsOf({ hostname, legs: { eth0: [`${address}/24`, `${address6}/64`] }, gateway: "192.0.2.1" }),
  });
  const world = new World([on("d1", "192.0.2.2", "2001:db8::2"), on("r1", "192.0.2.21", "2001:db8::21")]);
  world.save({ vip: "2001:db8::10", port: 80, forwarding: "dr", realServers: [{ id: "rs_1", rip: "2001:db8::21" }] });
  expect(world.plan().get("node_d1")).toMatchObject([{ kind: "director.service", provesPaths: true }]);
  expect(world.plan().get("node_r1")).toMatchObject([{ kind: "realServer.serve", probedFrom: ["2001:db8::2"] }]);
});
