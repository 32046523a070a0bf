import type { Fragment, Machine } from "@trigon/model";
import { beforeEach, expect, test } from "vitest";
import { factsOf } from "../test/facts.ts";
import { nodeOf, vip, World } from "../test/fleet.ts";
import { type DoctorInput, examine, tunnelsFor } from "./doctor.ts";

const well: Machine = {
  modules: { ip_vs: "loaded", ip_vs_wlc: "available", ipip: "loaded", xt_mac: "available" },
  tools: { modprobe: true, iptables: true, arping: true },
  capabilities: ["NET_ADMIN", "NET_RAW"],
  sysctls: { "net/ipv4/ip_forward": "1", "net/ipv4/conf/all/rp_filter": "0", "net/ipv4/conf/eth0/rp_filter": "2" },
  firewall: "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\nCOMMIT\n",
  nftables: [],
  offloads: { eth0: ["tx-checksumming"] },
  programs: ["systemd", "chronyd"],
};

let world: World;
beforeEach(() => {
  world = new World([nodeOf("node_d1", "192.0.2.2"), nodeOf("node_r1", "192.0.2.21")]);
});

/** The fragments of one end of a service with one real server. */
function fragmentsOf(id: "node_d1" | "node_r1", forwarding: "dr" | "tun" | "nat"): Fragment[] {
  world.save({ vip, port: 80, forwarding, realServers: [{ id: "rs_1", rip: "192.0.2.21" }] });
  world.report("node_r1");
  return world.plan().get(id) ?? [];
}
function judged(
  id: "node_d1" | "node_r1",
  forwarding: "dr" | "tun" | "nat",
  change: Partial<Machine> = {},
  more: Partial<DoctorInput> = {},
) {
  const fragments = fragmentsOf(id, forwarding);
  const facts = world.nodes.get(id)!.facts!;
  return examine({ fragments, facts, machine: { ...well, ...change }, foreignServices: [], ...more })
    .filter(({ state }) => state !== "ok")
    .map(({ check, subject, state }) => `${state} ${check} ${subject}`);
}
const filter = (...lines: string[]) => ["*filter", ":INPUT ACCEPT [0:0]", ":FORWARD ACCEPT [0:0]", ...lines, "COMMIT"].join("\n");
const tunnelDevice = () => tunnelsFor(fragmentsOf("node_r1", "tun"), world.nodes.get("node_r1")!.facts!)[0]!;

test("a machine that is well", () => {
  expect(judged("node_d1", "dr")).toEqual([]);
  expect(judged("node_d1", "nat")).toEqual([]);
  expect(judged("node_r1", "dr")).toEqual([]);
  expect(judged("node_r1", "tun")).toEqual([]);
});

test.each<[string, "node_d1" | "node_r1", "dr" | "tun" | "nat", Partial<Machine>, string[]]>([
  [
    "a scheduler that the kernel lacks",
    "node_d1",
    "dr",
    { modules: { ip_vs: "loaded", ip_vs_wlc: "missing" } },
    ["fail module ip_vs_wlc"],
  ],
  [
    "a real server without xt_mac, which may do without",
    "node_r1",
    "tun",
    { modules: { ipip: "loaded", xt_mac: "missing" } },
    ["warn module xt_mac"],
  ],
  ["no iptables", "node_r1", "dr", { tools: { iptables: false, arping: false } }, ["fail tool iptables"]],
  ["no arping on a director", "node_d1", "dr", { tools: { iptables: true, arping: false } }, ["warn tool arping"]],
  ["too little power", "node_r1", "dr", { capabilities: ["NET_ADMIN"] }, ["fail capability CAP_NET_RAW"]],
  [
    "no forwarding for NAT",
    "node_d1",
    "nat",
    { sysctls: { "net/ipv4/ip_forward": "0" } },
    ["fail forwarding net.ipv4.ip_forward"],
  ],
  ["no forwarding, which DR does not need", "node_d1", "dr", { sysctls: { "net/ipv4/ip_forward": "0" } }, []],
  [
    "a strict reverse path filter on a leg",
    "node_r1",
    "dr",
    { sysctls: { "net/ipv4/conf/all/rp_filter": "1", "net/ipv4/conf/eth0/rp_filter": "0" } },
    ["warn reversePath eth0"],
  ],
  [
    "a loose one above a strict one",
    "node_r1",
    "dr",
    { sysctls: { "net/ipv4/conf/all/rp_filter": "1", "net/ipv4/conf/eth0/rp_filter": "2" } },
    [],
  ],
  [
    "a firewall that drops tunnels",
    "node_r1",
    "tun",
    { firewall: filter("-A INPUT -p ipencap -j DROP") },
    ["fail firewall INPUT IPIP 192.0.2.2"],
  ],
  [
    "a firewall that drops the VIP's port",
    "node_d1",
    "dr",
    { firewall: filter("-A INPUT -p tcp -m tcp --dport 80 -j DROP") },
    [`fail firewall INPUT ${vip}:80/tcp`],
  ],
  [
    "a firewall that drops INVALID before anything else, as ufw does",
    "node_d1",
    "dr",
    { firewall: filter("-A INPUT -m conntrack --ctstate INVALID -j DROP") },
    [`warn firewall INPUT ${vip}:80/tcp INVALID`],
  ],
  ["rules that it cannot read", "node_r1", "dr", { nftables: ["inet firewalld"] }, ["warn firewall nftables inet firewalld"]],
  [
    "a firewall that forwards nothing, and NAT",
    "node_d1",
    "nat",
    { firewall: filter("-A FORWARD -j DROP") },
    ["fail firewall FORWARD 192.0.2.21/tcp"],
  ],
  ["a firewall that forwards nothing, and DR", "node_d1", "dr", { firewall: filter("-A FORWARD -j DROP") }, []],
  ["an ordinary MTU under a tunnel", "node_d1", "tun", {}, ["warn mtu 192.0.2.21 by eth0"]],
  ["merged packets on a director", "node_d1", "dr", { offloads: { eth0: ["large-receive-offload"] } }, ["fail offload eth0"]],
  ["keepalived beside us", "node_d1", "dr", { programs: ["chronyd", "keepalived"] }, ["warn manager keepalived"]],
  ["nothing that keeps the clock", "node_r1", "dr", { programs: ["init"] }, ["warn clock time"]],
])("%s", (_name, id, forwarding, change, expected) => {
  expect(judged(id, forwarding, change)).toEqual(
    id === "node_d1" && forwarding === "tun" ? expect.arrayContaining(expected) : expected,
  );
});

test("a strict reverse path filter on the tunnel's own device loses traffic", () => {
  const name = tunnelDevice();
  const sysctls = { ...well.sysctls, [`net/ipv4/conf/${name}/rp_filter`]: "1" };
  expect(judged("node_r1", "tun", { sysctls })).toEqual([`fail reversePath ${name}`]);
});

test("another owner's services are shown", () => {
  const foreignServices = ["-A -t 192.0.2.77:80 -s rr"];
  expect(judged("node_d1", "dr", {}, { foreignServices })).toEqual(["warn foreignService -A -t 192.0.2.77:80 -s rr"]);
});

test("a second holder of a VIP is shown with its link address", () => {
  const duplicates = [{ vip, interface: "eth0", macs: ["02:00:00:00:00:07"] }];
  expect(judged("node_d1", "dr", {}, { duplicates })).toEqual([`fail duplicateVip ${vip}`]);
});

test("a table of a whole farm is judged in little time, and what is wrong comes first", () => {
  const [fragment] = fragmentsOf("node_d1", "nat");
  if (fragment?.kind !== "director.service") throw new Error("no service");
  const [destination] = fragment.destinations;
  const many = Array.from({ length: 200 }, (_, service) => ({
    ...fragment,
    port: 1000 + service,
    destinations: Array.from({ length: 100 }, (_one, at) => ({ ...destination!, rip: `10.${service}.0.${at + 1}` })),
  }));
  const facts = world.nodes.get("node_d1")!.facts!;
  const firewall = filter("-A INPUT -p tcp -m tcp --dport 1199 -j DROP");
  const findings = examine({ fragments: many, facts, machine: { ...well, firewall }, foreignServices: [] });
  expect(findings[0]).toMatchObject({ state: "fail", subject: `INPUT ${vip}:1199/tcp` });
  expect(findings.length).toBeLessThanOrEqual(1000);
});

test("a node with nothing to hold is not judged by what it does not do", () => {
  const facts = factsOf({ legs: { eth0: ["192.0.2.9/24"] } });
  const findings = examine({ fragments: [], facts, machine: { ...well, sysctls: {} }, foreignServices: [] });
  expect(new Set(findings.map(({ check }) => check))).toEqual(new Set(["tool", "capability", "manager", "clock"]));
});
