import type { Resource } from "@trigon/model";

/**
 * What must stand before what. `net/ipv4/vs/*` exists only after its module and `conf/<tunnel>` only after its link; a device comes up only
 * behind its filter; a VIP bound before its services resets clients, and before ARP silence it steals the director's traffic. IPVS takes part
 * in connection tracking only once the rules stand that keep DR and Tunnel out of it, or a stateful firewall would drop their connections.
 * Connections are taken in before VRRP may give a director its VIPs, and that comes last of all.
 * GUE's port is anybody's, and opens behind its rules. What closes VIPs to all but their services comes after these, which wait for nothing that takes longer than they do.
 */
const building = [
  "module",
  "linkState down",
  "link",
  "sysctl",
  "address tunnel",
  "filterRule",
  "fouPort",
  "sysctl tracking",
  "linkState up",
  "ipvsService",
  "ipvsDestination",
  "filterRule vip",
  "syncDaemon",
  "address vip",
  "vrrp",
] as const;

/** The reverse, but that a link goes where it would go down: its address, state and sysctls go with it. */
const removing = [
  "vrrp",
  "address vip",
  "syncDaemon",
  "ipvsDestination",
  "ipvsService",
  "linkState up",
  "link",
  "sysctl tracking",
  "fouPort",
  "filterRule",
  "filterRule vip",
  "address tunnel",
  "sysctl",
  "linkState down",
  "module",
] as const satisfies readonly (typeof building)[number][];

/** Settings that let in what only rules keep out: IPVS in connection tracking, and packets that bear an address of this machine. */
const behindRules = /^net\/ipv4\/(vs\/conntrack|conf\/[^/]+\/accept_local)$/;

type Step = (typeof building)[number];

function stepOf(resource: Resource): Step {
  switch (resource.kind) {
    case "linkState":
      return resource.up ? "linkState up" : "linkState down";
    case "address":
      return resource.purpose === "tunnel" ? "address tunnel" : "address vip";
    case "filterRule":
      return resource.table === "filter" ? "filterRule vip" : "filterRule";
    case "sysctl":
      return behindRules.test(resource.path) ? "sysctl tracking" : "sysctl";
    default:
      return resource.kind;
  }
}

const table = (steps: readonly Step[]) => Object.fromEntries(steps.map((step, index) => [step, index])) as Record<Step, number>;
const buildRanks = table(building);
const removeRanks = table(removing);

/** Lower is created earlier. */
export function buildRank(resource: Resource): number {
  return buildRanks[stepOf(resource)];
}

/** Lower is removed earlier. */
export function removeRank(resource: Resource): number {
  return removeRanks[stepOf(resource)];
}
