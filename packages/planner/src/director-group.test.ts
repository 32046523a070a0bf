import { DirectorGroupFragment, type Facts } from "@trigon/model";
import { expect, test } from "vitest";
import { directorGroup } from "./director-group.ts";
import { textOf } from "./explain.ts";
import { ResolveError } from "./resolve-error.ts";

const leg = (name: string, addresses: string[]) => ({
  ...{ name, mac: "02:00:00:00:00:01", mtu: 1500, up: true },
  addresses: addresses.map((text) => ({ address: text.split("/")[0]!, prefix: Number(text.split("/")[1]) })),
});
const facts: Facts = {
  ...{ hostname: "dir1", machineId: "m", bootId: "b", kernel: "6.1", architecture: "x86_64", routes: [], resolvers: [] },
  iptables: "nft",
  interfaces: [leg("mgmt0", ["10.1.0.11/24"]), leg("eth0", ["10.2.0.11/24", "fd00:2::11/64"])],
};
const fragment = DirectorGroupFragment.parse({
  ...{ id: "dg:g", hash: "h", generation: 1, kind: "director.group", groupId: "g", name: "edge" },
  ...{ virtualRouterId: 51, priority: 190, preempt: false, advertMs: 100, interface: null, peers: "unicast", preferred: null },
  addresses: ["10.2.0.11", "fd00:2::11"],
  others: [{ nodeId: "n2", name: "dir2", priority: 200, addresses: ["10.2.0.12", "fd00:2::12"] }],
  vips: ["10.2.0.100", "fd00:2::100"],
});
const farOthers = [254, 200, 190].map((priority) => ({ ...fragment.others[0]!, nodeId: `n${priority}`, priority }));
const texts = (change: Partial<DirectorGroupFragment> = {}, on = facts) =>
  directorGroup({ ...fragment, ...change }, on).map(textOf);

test("priorities, however far apart, come to ranks that tracking can turn round", () => {
  expect(texts({ priority: 1, others: farOthers }).at(-1)).toContain(" priority 94 ");
});

test("a member speaks from its own address, moves VIPs of both families, and carries connections both ways", () => {
  expect(texts().slice(-3)).toEqual([
    "--start-daemon master --mcast-interface eth0 --syncid 86",
    "--start-daemon backup --mcast-interface eth0 --syncid 86",
    "VRRP 51 dev eth0 10.2.0.11 > 10.2.0.12 priority 98 every 100 ms, VIPs 10.2.0.100 fd00:2::100",
  ]);
});

test("VRRP and sync are taken from members only", () => {
  expect(texts().filter((text) => text.startsWith("-t"))).toEqual([
    "-t filter -A TRIGON-INPUT -s 10.2.0.12/32 -p 112 -j ACCEPT",
    "-t filter -A TRIGON-INPUT -s 10.2.0.12/32 -d 224.0.0.81/32 -p udp -m udp --dport 8848 -j ACCEPT",
    "-t filter -A TRIGON-INPUT -d 10.2.0.11/32 -p 112 -j DROP",
    "-t filter -A TRIGON-INPUT -d 224.0.0.81/32 -p udp -m udp --dport 8848 -j DROP",
  ]);
});

test("strangers' multicast VRRP is not ours to drop", () => {
  expect(texts({ peers: "multicast" }).filter((text) => text.endsWith("DROP"))).toHaveLength(1);
});

test("who cannot speak says so", () => {
  expect(() => texts({ addresses: [] })).toThrow(ResolveError);
  expect(() => texts({}, { ...facts, interfaces: [] })).toThrow("dir1 has no address to speak VRRP from.");
});
