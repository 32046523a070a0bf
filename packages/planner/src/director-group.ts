import {
  type DirectorGroupFragment,
  type Facts,
  type Family,
  familyOf,
  type Resource,
  resourceKey,
  type SyncDaemonResource,
  type VrrpResource,
} from "@trigon/model";
import { defaultRoute, onLinkInterface } from "./network.ts";
import { ResolveError } from "./resolve-error.ts";
import { filterRule, from, module, ruleOrder, sysctlIfPresent, to } from "./resources.ts";

/** One for all groups: a kernel has one daemon that sends and one that takes in, whatever the number of groups. See decisions/002. */
export const syncId = 86;
const syncPort = 8848;
const syncMulticast = "224.0.0.81";

/**
 * A connection is told to the peers with its first packet when established, twice more with packets 1.25 s and later (messages are UDP, and get
 * lost), and again while packets come, each so many seconds.
 */
const syncSettings: readonly Resource[] = [
  module("ip_vs"),
  sysctlIfPresent("net/ipv4/vs/sync_threshold", "3 0"),
  sysctlIfPresent("net/ipv4/vs/sync_refresh_period", "10"),
  sysctlIfPresent("net/ipv4/vs/sync_retries", "2"),
];

/**
 * A director's part in a group in mode `vrrp`: connections carried to and from the peers, and VRRP, which gives the VIPs to one of them. Speaks
 * by IPv4 where it can; VIPs of both families move together. Throws `ResolveError` when the node cannot speak.
 */
export function directorGroup(fragment: DirectorGroupFragment, facts: Facts): Resource[] {
  const { groupId, virtualRouterId, advertMs, vips, peers } = fragment;
  const family: Family = fragment.addresses.some((address) => familyOf(address) === 4) ? 4 : 6;
  const source = fragment.addresses.find((address) => familyOf(address) === family);
  const name =
    fragment.interface ?? facts.interfaces.find(({ addresses }) => addresses.some((own) => own.address === source))?.name;
  if (source === undefined || name === undefined)
    throw new ResolveError("vrrp.noAddress", `${facts.hostname} has no address to speak VRRP from.`);
  const others = fragment.others.flatMap(({ addresses }) => addresses.find((address) => familyOf(address) === family) ?? []);
  const vrrp: VrrpResource = {
    kind: "vrrp",
    key: resourceKey.vrrp(groupId),
    groupId,
    virtualRouterId,
    priority: rankedPriority(fragment),
    advertMs,
    interface: name,
    source,
    unicastPeers: peers === "unicast" ? others.toSorted() : null,
    vips: vips.map((address) => ({ address, interface: legOf(address, name, facts) })),
  };
  return [...syncSettings, ...onlyMembers(fragment, source, others, facts), daemon("master", name), daemon("backup", name), vrrp];
}

function daemon(state: SyncDaemonResource["state"], name: string): SyncDaemonResource {
  return { kind: "syncDaemon", key: resourceKey.syncDaemon(state), state, interface: name, syncId };
}

/**
 * What a member's own priority comes to among the members: close to its neighbours', so that there is room for what tracking adds (who holds
 * the VIPs keeps them; who was asked for takes them) and takes away (who is unfit loses them to whoever is fit).
 */
function rankedPriority({ priority, others }: DirectorGroupFragment): number {
  return 100 - 2 * others.filter((other) => other.priority > priority).length;
}

function legOf(vip: string, spoken: string, facts: Facts): string {
  return onLinkInterface(vip, facts)?.name ?? defaultRoute(facts, familyOf(vip))?.interface ?? spoken;
}

/**
 * VRRP and the sync of connections know no authentication worth the name: what does not come from a member is dropped. Of multicast VRRP, which
 * is everybody's on the link, only members' is let in; others' is not ours to drop.
 */
function onlyMembers({ peers }: DirectorGroupFragment, source: string, others: readonly string[], facts: Facts): Resource[] {
  if (facts.iptables === "none") return [];
  const family = familyOf(source);
  const rule = (id: string, order: number, match: readonly string[]) =>
    filterRule({ family, table: "filter", hook: "INPUT", id, order, match });
  const vrrp = ["-p", "112"];
  const sync = ["-p", "udp", "-m", "udp", "--dport", String(syncPort)];
  const accepted = others.flatMap((address) => [
    rule(`vrrp:${address}`, ruleOrder.member, [...from(address), ...vrrp, "-j", "ACCEPT"]),
    ...(family === 4
      ? [rule(`sync:${address}`, ruleOrder.member, [...from(address), ...to(syncMulticast), ...sync, "-j", "ACCEPT"])]
      : []),
  ]);
  return [
    ...accepted,
    ...(peers === "unicast" ? [rule(`vrrp-closed:${source}`, ruleOrder.stranger, [...to(source), ...vrrp, "-j", "DROP"])] : []),
    ...(family === 4 ? [rule("sync-closed", ruleOrder.stranger, [...to(syncMulticast), ...sync, "-j", "DROP"])] : []),
  ];
}
