import {
  type AdminState,
  DirectorServiceFragment,
  type Forwarding,
  HealthCheck,
  HealthSpec,
  RealServerFragment,
  type Resource,
} from "@trigon/model";
import { describe, expect, test } from "vitest";
import { factsOf } from "../test/facts.ts";
import { nodeOf } from "../test/fleet.ts";
import { fleetOf } from "./fleet.ts";
import { planVip } from "./plan-fragments.ts";
import { tunnelAddress, tunnelName } from "./real-server.ts";
import { resolveFragment } from "./resolve.ts";

const vip = "192.0.2.10";
const base = {
  hash: "h",
  generation: 1,
  serviceId: "vs_1",
  name: "web",
  vip,
  protocol: "tcp",
  port: 80,
  encapsulation: "ipip",
} as const;
const facts = factsOf({ legs: { eth0: ["192.0.2.21/24"], eth1: ["198.51.100.21/24"] }, gateway: "192.0.2.1" });

function serving(forwarding: Forwarding, change: Partial<RealServerFragment> = {}, own = facts): Resource[] {
  const fragment: RealServerFragment = {
    ...base,
    id: "rs:vs_1",
    kind: "realServer.serve",
    endpoints: [{ realServerId: "rs_1", rip: "192.0.2.21", port: 80, forwarding }],
    directors: [{ nodeId: "node_d1", index: 1, address: "192.0.2.2", mac: null }],
    ...change,
  };
  return resolveFragment(RealServerFragment.parse(fragment), own);
}

function directing(forwardings: readonly Forwarding[], change: Partial<DirectorServiceFragment> = {}, own = facts): Resource[] {
  const fragment: DirectorServiceFragment = {
    ...base,
    id: "ds:vs_1",
    kind: "director.service",
    scheduler: "wlc",
    schedulerFlags: [],
    persistence: null,
    onePacket: false,
    snatSource: "vip",
    notrack: false,
    destinations: forwardings.map((forwarding, index) => ({
      realServerId: `rs_${index}`,
      rip: `192.0.2.${21 + index}`,
      port: 80,
      forwarding,
      weight: 1,
      upperThreshold: 0,
      lowerThreshold: 0,
    })),
    ...change,
  };
  return resolveFragment(DirectorServiceFragment.parse(fragment), own);
}
const keys = (resources: readonly Resource[]) => resources.map(({ key }) => key);

test.each<Forwarding>(["nat", "fullnat"])("a %s real server never holds the VIP", (forwarding) => {
  expect(serving(forwarding)).toEqual([]);
});

test("a DR real server is silent on all and lo, whatever the order of its resources", () => {
  expect(serving("dr").filter(({ kind }) => kind === "sysctl")).toMatchObject([
    { path: "net/ipv4/conf/all/arp_ignore", atLeast: 1 },
    { path: "net/ipv4/conf/all/arp_announce", atLeast: 2 },
    { path: "net/ipv4/conf/lo/arp_ignore", atLeast: 1 },
    { path: "net/ipv4/conf/lo/arp_announce", atLeast: 2 },
  ]);
  expect(keys(serving("dr"))).toContain(`address lo ${vip}/32`);
});

test("an IPv6 VIP on lo needs no ARP silence, and is counted by ip6tables", () => {
  const resources = serving("dr", { vip: "2001:db8::10" });
  expect(keys(resources)).toEqual(["filterRule 6 mangle OUTPUT account:vs_1", "address lo 2001:db8::10/128"]);
});

test("a Tunnel VIP of IPv6 is refused", () => {
  expect(() => serving("tun", { vip: "2001:db8::10" })).toThrow(expect.objectContaining({ reason: "tunnel.familyUnsupported" }));
});

test("a tunnel device lets in its own services only, and everything shared is equal between services", () => {
  const web = serving("tun");
  const tls = serving("tun", { id: "rs:vs_2", serviceId: "vs_2", port: 443 });
  const byKey = new Map(web.map((resource) => [resource.key, resource]));
  const shared = tls.filter(({ key }) => byKey.has(key));
  for (const resource of shared) expect(resource).toEqual(byKey.get(resource.key));
  expect(keys(shared)).toContain("filterRule 4 raw PREROUTING drop:trg-1");
  const rules = (resources: Resource[]) => resources.flatMap((resource) => (resource.kind === "filterRule" ? [resource] : []));
  const drop = rules(web).find(({ id }) => id.startsWith("drop:"))!;
  for (const rule of rules(web).filter(({ id }) => id.startsWith("accept:"))) expect(rule.order).toBeLessThan(drop.order);
});

test("a kernel without xt_mac goes without the rule against forged neighbours, and with all others", () => {
  const directors = [{ nodeId: "node_d1", index: 1, address: "192.0.2.2", mac: "02:00:00:00:00:09" }];
  const [full, without] = [facts, { ...facts, lacks: ["xt_mac"] }].map((own) => keys(serving("tun", { directors }, own)));
  expect(full!.filter((key) => !without!.includes(key))).toEqual(["filterRule 4 raw PREROUTING forgery:ipip:1"]);
  expect(without!.every((key) => full!.includes(key))).toBe(true);
});

test("two older and newer front ends of one service claim no key with different values", () => {
  const now = serving("dr", { vip: "192.0.2.11" });
  const before = new Map(serving("dr", { id: "rs:vs_1:1" }).map((resource) => [resource.key, resource]));
  for (const resource of now) if (before.has(resource.key)) expect(resource).toEqual(before.get(resource.key));
});

test("full NAT mixed with DR rewrites the source of its own real servers only", () => {
  const rules = directing(["dr", "fullnat"]).flatMap((resource) =>
    resource.kind === "filterRule" ? [resource.match.join(" ")] : [],
  );
  expect(rules).toEqual([`-d 192.0.2.22/32 -m ipvs --vproto 6 --vaddr ${vip}/32 --vport 80 -j SNAT --to-source ${vip}`]);
});

test("only DR and Tunnel services go untracked", () => {
  const untracked = (resources: Resource[]) => keys(resources).filter((key) => key.includes("notrack"));
  expect(untracked(directing(["dr"], { notrack: true }))).toHaveLength(1);
  expect(untracked(directing(["tun"], { notrack: true }))).toHaveLength(1);
  expect(untracked(directing(["nat"], { notrack: true }))).toEqual([]);
  expect(untracked(directing(["dr"]))).toEqual([]);
});

test("sh and mh flags and persistence become the kernel's", () => {
  const [service] = directing([], {
    scheduler: "sh",
    schedulerFlags: ["fallback", "port"],
    persistence: { timeoutSeconds: 300, granularity: 24 },
  }).filter(({ kind }) => kind === "ipvsService");
  expect(service).toMatchObject({ flags: ["persistent", "sched1", "sched2"], timeoutSeconds: 300, netmask: 24 });
});

describe("a real server that is drained", () => {
  const drained = (adminState: AdminState, change: Partial<DirectorServiceFragment> = {}) => {
    const mode = change.persistence ? ("honourPersistence" as const) : ("activeConnections" as const);
    const destination = { realServerId: "rs_0", rip: "192.0.2.21", port: 80, forwarding: "dr", weight: 3 } as const;
    const thresholds = { upperThreshold: 0, lowerThreshold: 0 };
    return directing([], {
      destinations: [{ ...destination, ...thresholds, adminState, drain: { mode, until: null } }],
      ...change,
    });
  };
  const weights = (resources: Resource[]) =>
    resources.flatMap((resource) => (resource.kind === "ipvsDestination" ? [resource.weight] : []));
  const template = (resources: Resource[]) => resources.find(({ key }) => key.endsWith("expire_quiescent_template"));
  const persistence = { timeoutSeconds: 300, granularity: 32 };

  test.each<[AdminState, number[]]>([
    ["active", [3]],
    ["draining", [0]],
    ["maintenance", [0]],
    ["disabled", []],
  ])("%s: weights %j", (adminState, expected) => {
    expect(weights(drained(adminState))).toEqual(expected);
  });

  test("lets sh and mh fall back while it lasts", () => {
    const flagsOf = (adminState: AdminState, scheduler: "sh" | "mh" | "rr") =>
      drained(adminState, { scheduler }).flatMap((resource) => (resource.kind === "ipvsService" ? resource.flags : []));
    expect([flagsOf("draining", "sh"), flagsOf("maintenance", "mh")]).toEqual([["sched1"], ["sched1"]]);
    expect([flagsOf("active", "sh"), flagsOf("disabled", "mh"), flagsOf("draining", "rr")]).toEqual([[], [], []]);
  });

  test("keeps its pinned clients only where persistence is honoured, whatever other services want by default", () => {
    expect(template(drained("draining", { persistence }))).toMatchObject({ value: "0" });
    for (const other of [drained("draining"), drained("active", { persistence }), drained("disabled", { persistence })])
      expect(template(other)).toMatchObject({ value: "1", isDefault: true });
  });
});

test("the kernel keeps connections whose destination somebody else took out, but for where that ends badly", () => {
  const setting = (resources: Resource[]) => resources.find(({ key }) => key.endsWith("expire_nodest_conn"));
  const kept = { value: "0", isDefault: true };
  expect(setting(directing(["dr"]))).toMatchObject(kept);
  expect(setting(directing(["dr"], {}, { ...facts, kernel: "5.10.0-30-amd64" }))).toMatchObject(kept);
  // Older ones end a connection only with its next packet, when the deletion is long over.
  const old = setting(directing(["dr"], {}, { ...facts, kernel: "5.4.0-150-generic" }));
  expect([old, setting(directing(["dr"], {}, { ...facts, kernel: "4.18.0" }))]).toMatchObject([{ value: "1" }, { value: "1" }]);
  expect(old).not.toHaveProperty("isDefault");
  const health = { ...HealthSpec.parse({}), sorryServer: null, check: HealthCheck.parse({ kind: "tcp", target: "vip" }) };
  expect(setting(directing(["dr"], { provesPaths: true, health }))).toMatchObject({ value: "1" });
});

describe("a director's VIP", () => {
  const held = (address: string, from = facts) =>
    resolveFragment({ id: "dv", hash: "h", generation: 1, kind: "director.vip", vip: address, heldBy: "agent" }, from);

  test("is bound to the interface in its network", () => {
    expect(keys(held("198.51.100.10"))).toEqual(["address eth1 198.51.100.10/32"]);
  });

  test("is bound to the default route's interface when in none", () => {
    expect(keys(held("203.0.113.10"))).toEqual(["address eth0 203.0.113.10/32"]);
  });

  test("cannot be bound without either", () => {
    const lonely = factsOf({ legs: { eth0: ["192.0.2.21/24"] } });
    expect(() => held("203.0.113.10", lonely)).toThrow(expect.objectContaining({ reason: "vip.noInterface" }));
  });
});

test("tunnel devices' names fit an interface and their addresses are distinct and usable", () => {
  const addresses = Array.from({ length: 64262 }, (_, index) => tunnelAddress(index + 1));
  expect(new Set(addresses).size).toBe(64262);
  for (const address of addresses) expect(address).not.toMatch(/^169\.254\.(0|169|255)\.|\.(0|255)$/);
  expect(tunnelName(1, "ipip", "192.0.2.21", facts)).toBe("trg-1");
  expect(tunnelName(1, "gre", "192.0.2.21", facts)).toBe("trg-1g");
  expect(tunnelName(65535, "gre", "198.51.100.21", facts).length).toBeLessThanOrEqual(15);
  expect(tunnelName(1, "ipip", "198.51.100.21", facts)).not.toBe("trg-1");
});

test("a floating address is held as VIPs are, and nothing on it is closed", () => {
  const held = resolveFragment(
    { ...{ id: "dv:192.0.2.7", hash: "h", generation: 1, kind: "director.vip", vip: "192.0.2.7", heldBy: "agent" } },
    facts,
  );
  expect(held.map(({ kind }) => kind)).toEqual(["address"]);
  const group = { id: "dg_1", activeNodeId: "node_d1", releasing: null, ping: false, manageFirewall: false, vrrp: null };
  const fleet = fleetOf([nodeOf("node_d1", "192.0.2.2")]);
  const planned = (vip: string) =>
    planVip({ vip, generation: 1, group: { ...group, floatingAddresses: ["192.0.2.7"] }, fleet }).get("node_d1");
  expect([planned("192.0.2.7")?.ping, planned("192.0.2.10")?.ping]).toEqual([undefined, false]);
});

test("full NAT goes by the source that it was given", () => {
  const targets = (snatSource: DirectorServiceFragment["snatSource"]) =>
    directing(["fullnat"], { snatSource }).flatMap((one) =>
      one.kind === "filterRule" && one.table === "nat" ? one.match.slice(-3) : [],
    );
  expect(targets("192.0.2.7")).toEqual(["SNAT", "--to-source", "192.0.2.7"]);
  expect(targets("vip").slice(-1)).toEqual([base.vip]);
  expect(targets("dip").slice(-1)).toEqual(["MASQUERADE"]);
});
