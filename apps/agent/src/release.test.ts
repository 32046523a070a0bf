import { type RawFragment, type Resource, resourceKey } from "@trigon/model";
import { Desired, type JournalEntry, Ledger } from "@trigon/reconciler";
import { expect, test } from "vitest";
import { keysToLetGo } from "./release.ts";

const vip = "192.0.2.10";
const service = resourceKey.ipvsService("tcp", vip, 80);
const other = resourceKey.ipvsService("tcp", vip, 81);
const at = (key: string, kind: string, more: object = {}) => ({ kind, key, ...more }) as unknown as Resource;
const destination = (of: string) => at(resourceKey.ipvsDestination(of, "192.0.2.21", 80), "ipvsDestination", { service: of });
const address = at(resourceKey.address("eth0", vip, 32), "address", { address: vip });
const sysctl = (path: string) => at(resourceKey.sysctl(path), "sysctl", { path });
const rule = at("filterRule 4 mangle OUTPUT path-mark", "filterRule");
const probes = at(resourceKey.ipvsService("fwmark", "0.0.0.0", 21586), "ipvsService", { protocol: "fwmark" });
const forwarding = sysctl("net/ipv4/ip_forward");
const accept = sysctl("net/ipv4/conf/eth0/accept_local");
const own = [at(service, "ipvsService", { protocol: "tcp" }), destination(service), forwarding, accept, rule, probes];
const others = [at(other, "ipvsService", { protocol: "tcp" }), destination(other)];

function world(shared: readonly Resource[], wanted = own) {
  const claim = (resource: Resource): JournalEntry => ({ op: "claim", bootId: "b", key: resource.key, resource, found: null });
  const ledger = new Ledger("b", [...own, ...others, address].map(claim));
  const desired = new Desired();
  if (wanted.length > 0) desired.replace("ds:vs_1", "h", wanted);
  desired.replace("ds:vs_2", "h", [...others, ...shared]);
  desired.replace(`dv:${vip}`, "h", [address]);
  return { ledger, desired };
}
const fragment = {
  id: "ds:vs_1",
  kind: "director.service",
  hash: "h",
  generation: 1,
  protocol: "tcp",
  vip,
  port: 80,
} as RawFragment;

test("what carries a released service's packets ceases to be ours, what only Trigon uses does not", () => {
  const keys = keysToLetGo([fragment], world([]));
  expect(keys.toSorted()).toEqual([service, destination(service).key, address.key, forwarding.key].toSorted());
});

test("what another service needs, too, stays ours, but for the VIP: its end would take the VIP along", () => {
  const keys = keysToLetGo([fragment], world([forwarding]));
  expect(keys.toSorted()).toEqual([service, destination(service).key, address.key].toSorted());
});

test("a service that this run has not resolved yet is let go of by what the journal says", () => {
  const keys = keysToLetGo([fragment], world([], []));
  expect(keys.toSorted()).toEqual([service, destination(service).key, address.key].toSorted());
});
