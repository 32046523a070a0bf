import type { FilterRuleResource, Resource } from "@trigon/model";
import { describe, expect, test } from "vitest";
import { factsOf } from "../test/facts.ts";
import { type FilteredPacket, filterTable, verdictOf } from "./firewall.ts";
import { closedVip, letIn, type OpenService, openService, sparingResets } from "./vip-guard.ts";

const facts = factsOf({ legs: { eth0: ["192.0.2.2/24"] }, gateway: "192.0.2.1" });
const vip = "192.0.2.10";
const web: OpenService = { vip, protocol: "tcp", port: 80, allow: [] };

/** The rules as iptables-save prints the table that they make. */
function saved(resources: readonly Resource[]): string {
  const rules = resources.filter((resource): resource is FilterRuleResource => resource.kind === "filterRule");
  const byKey = [...new Map(rules.map((rule) => [rule.key, rule])).values()].toSorted((a, b) => a.order - b.order);
  const nameOf = ({ hook, chain }: FilterRuleResource) => `TRIGON-${hook}${chain ? `-${chain}` : ""}`;
  const chains = [...new Set(["TRIGON-INPUT", ...byKey.map(nameOf)])].map((name) => `:${name} - [0:0]`);
  const lines = byKey.map((rule) => `-A ${nameOf(rule)} ${rule.match.join(" ")}`);
  return ["*filter", ":INPUT ACCEPT [0:0]", ...chains, "-A INPUT -j TRIGON-INPUT", ...lines, "COMMIT"].join("\n");
}

function isLetIn(resources: readonly Resource[], packet: Partial<FilteredPacket>): boolean {
  const table = filterTable(saved(resources));
  return verdictOf(table, { chain: "INPUT", protocol: 6, source: "198.51.100.7", destination: vip, in: "eth0", ...packet })
    .isAccepted;
}
const closed = (ping = true) => closedVip("director", vip, ping, facts);
const open = (service: Partial<OpenService> = {}) => openService("director", { ...web, ...service }, facts);

describe("a closed VIP", () => {
  test("lets its services in and nothing else, and other addresses alone", () => {
    const rules = [...closed(), ...open(), ...open({ protocol: "udp", port: 53 })];
    expect(isLetIn(rules, { destinationPort: 80 })).toBe(true);
    expect(isLetIn(rules, { protocol: 17, destinationPort: 53 })).toBe(true);
    expect(isLetIn(rules, { destinationPort: 22 })).toBe(false);
    expect(isLetIn(rules, { destinationPort: 53 })).toBe(false);
    expect(isLetIn(rules, { protocol: 47 })).toBe(false);
    expect(isLetIn(rules, { destination: "192.0.2.2", destinationPort: 22 })).toBe(true);
    expect(isLetIn(rules, { destination: "192.0.2.42", destinationPort: 22 })).toBe(true); // the same last bits
    expect(isLetIn(rules, { in: "lo", destinationPort: 22 })).toBe(true);
  });

  test("is pinged by choice", () => {
    expect(isLetIn(closed(true), { protocol: 1 })).toBe(true);
    expect(isLetIn(closed(false), { protocol: 1 })).toBe(false);
  });

  test("lets in only whom a service allows", () => {
    const rules = [
      ...closed(),
      ...open({ allow: ["198.51.100.0/24", "203.0.113.9/32"] }),
      ...open({ port: 443, allow: ["0.0.0.0/0"] }),
    ];
    const from = (source: string, destinationPort = 80) => isLetIn(rules, { source, destinationPort });
    expect([from("198.51.100.7"), from("203.0.113.9"), from("203.0.113.8"), from("203.0.113.8", 443)]).toEqual([
      true,
      true,
      false,
      true,
    ]);
  });

  test("opens all ports for a service of all ports", () => {
    const rules = [...closed(), ...open({ port: 0 })];
    expect(isLetIn(rules, { destinationPort: 4711 })).toBe(true);
    expect(isLetIn(rules, { protocol: 17, destinationPort: 4711 })).toBe(false);
  });

  test("of IPv6 keeps neighbour discovery and its own family's sources", () => {
    const vip6 = "2001:db8::1f";
    const rules = closedVip("director", vip6, false, facts).flatMap((rule) => (rule.kind === "filterRule" ? rule : []));
    expect(rules.every(({ family }) => family === 6)).toBe(true);
    expect(rules.map(({ match }) => match.join(" "))).toContain("-p ipv6-icmp -m icmp6 --icmpv6-type 135 -j RETURN");
    expect(rules.map(({ match }) => match.join(" "))).toContain("-d ::1f/::1f -g TRIGON-INPUT-31");
    const opened = openService("director", { ...web, vip: vip6, allow: ["10.0.0.0/8", "2001:db8:1::/48"] }, facts);
    expect(opened).toMatchObject([{ match: expect.arrayContaining(["-s", "2001:db8:1::/48"]) }]);
  });

  test("costs a packet few rules however many VIPs there are", () => {
    const vips = Array.from({ length: 1_000 }, (_, at) => `10.${at >> 8}.0.${at & 255}`);
    const rules = vips.flatMap((address) => [
      ...closedVip("director", address, true, facts),
      ...openService("director", { ...web, vip: address }, facts),
    ]) as FilterRuleResource[];
    const distinct = [...new Map(rules.map((rule) => [rule.key, rule])).values()];
    const count = (chain?: string) => distinct.filter((rule) => rule.chain === chain).length;
    const longest = Math.max(...Array.from({ length: 32 }, (_, at) => count(String(at))));
    expect(count() + longest).toBeLessThan(110);
  });

  test("managed rules let a service past a firewall that drops everything, and only whom it allows", () => {
    const dropping = (resources: readonly Resource[]) =>
      saved(resources).replace("COMMIT", "-A INPUT -m conntrack --ctstate INVALID -j DROP\n-A INPUT -j DROP\nCOMMIT");
    const verdict = (resources: readonly Resource[], packet: Partial<FilteredPacket>) =>
      verdictOf(filterTable(dropping(resources)), { chain: "INPUT", protocol: 6, destination: vip, in: "eth0", ...packet })
        .isAccepted;
    const rules = [...closed(), ...open({ allow: ["198.51.100.0/24"] })];
    const managed = [...rules, ...letIn({ ...web, allow: ["198.51.100.0/24"] }, facts)];
    const client = { source: "198.51.100.7", destinationPort: 80 };
    expect(verdict(rules, client)).toBe(false);
    expect(verdict(managed, client)).toBe(true);
    expect(verdict(managed, { ...client, state: "INVALID" })).toBe(true);
    expect(verdict(managed, { ...client, destinationPort: 22 })).toBe(false);
    expect(verdict(managed, { ...client, source: "203.0.113.1" })).toBe(false);
  });

  test("is none without iptables", () => {
    expect(closedVip("director", vip, true, { ...facts, iptables: "none" })).toEqual([]);
    expect(openService("director", web, { ...facts, iptables: "none" })).toEqual([]);
  });
});

test("only the VIP's own resets are held back, and none where the kernel cannot count them", () => {
  const rules = sparingResets(vip, facts).flatMap((one) =>
    one.kind === "filterRule" ? [[one.hook, one.chain, one.match.join(" ")]] : [],
  );
  expect(rules).toEqual([
    ["OUTPUT", undefined, "-p tcp -m tcp --tcp-flags RST RST -g TRIGON-OUTPUT-R"],
    ["OUTPUT", "R", expect.stringMatching(/^-s 192\.0\.2\.10\/32 -p tcp -m hashlimit .* --hashlimit-burst 3 .* -j DROP$/)],
  ]);
  expect(sparingResets(vip, { ...facts, lacks: ["xt_hashlimit"] })).toEqual([]);
  expect(sparingResets(vip, { ...facts, iptables: "none" })).toEqual([]);
});
