import {
  type Encapsulation,
  type Facts,
  familyOf,
  hostPrefix,
  type PlannedDirector,
  type RealServerFragment,
  type Resource,
  resourceKey,
  unreachable,
} from "@trigon/model";
import { encapsulations, outerPacket } from "./encapsulations.ts";
import { stableHash } from "./hash.ts";
import { mainAddress, onLinkInterface } from "./network.ts";
import { arrivalResources, mssClamp } from "./path-resources.ts";
import { ResolveError } from "./resolve-error.ts";
import {
  filterRule,
  from,
  hostAddress,
  linkState,
  module,
  port,
  ruleOrder,
  ruleSuffix,
  sysctl,
  sysctlAtLeast,
  to,
} from "./resources.ts";
import { closedVip, letIn, openService } from "./vip-guard.ts";

/** The kernel uses the greater of `all` and the interface's own value, and `lo` is where the VIP lives. */
const arpSilence: readonly Resource[] = ["all", "lo"].flatMap((name) => [
  sysctlAtLeast(`net/ipv4/conf/${name}/arp_ignore`, 1),
  sysctlAtLeast(`net/ipv4/conf/${name}/arp_announce`, 2),
]);

/** A real server's side of one virtual service. Pure: same fragment and facts, same resources. Throws `ResolveError` for a Tunnel VIP of IPv6. */
export function realServer(fragment: RealServerFragment, facts: Facts): Resource[] {
  const byKey = new Map<string, Resource>();
  for (const { rip, forwarding } of fragment.endpoints) {
    for (const resource of serve(fragment, rip, forwarding, facts)) byKey.set(resource.key, resource);
  }
  return [...byKey.values()];
}

function serve(
  fragment: RealServerFragment,
  rip: string,
  forwarding: RealServerFragment["endpoints"][number]["forwarding"],
  facts: Facts,
): Resource[] {
  switch (forwarding) {
    case "dr":
      return answerForVip(fragment, facts);
    case "tun":
      return [...tunnelsOf(fragment, rip, facts), ...mssClamp(fragment, rip, facts), ...answerForVip(fragment, facts)];
    case "nat":
    case "fullnat":
      return []; // replies go back through the director, so the VIP stays off this node
    default:
      return unreachable(forwarding);
  }
}

/** The VIP on `lo`, silent in ARP (IPv6 needs no silence: a neighbour solicitation for an address of `lo` is not answered). */
function answerForVip(fragment: RealServerFragment, facts: Facts): Resource[] {
  const { vip, protocol, port: number } = fragment;
  const family = familyOf(vip);
  const accounting = filterRule({
    family,
    table: "mangle",
    hook: "OUTPUT",
    id: `account:${ruleSuffix(fragment)}`,
    order: ruleOrder.account,
    match: [...from(vip), ...port(protocol, "sport", number)],
  });
  return [
    ...(family === 4 ? arpSilence : []),
    accounting,
    ...arrivalResources(fragment, facts),
    ...closing(fragment, facts),
    hostAddress("lo", vip, "vipOnLoopback"),
  ];
}

/** The VIP on `lo` would else answer for whatever listens on all addresses. Probes of paths come from the directors themselves. */
function closing(fragment: RealServerFragment, facts: Facts): Resource[] {
  const { vip, protocol, port: number, allow, managesFirewall, probedFrom = [] } = fragment;
  const probers = probedFrom.map((address) => `${address}/${hostPrefix(address)}`);
  const sources = !allow || allow.length === 0 ? [] : [...allow, ...probers];
  const service = { vip, protocol, port: number, allow: sources };
  return [
    ...(managesFirewall ? [...tunnelsLetIn(fragment, facts), ...letIn(service, facts)] : []),
    ...(allow ? [...openService("realServer", service, facts), ...closedVip("realServer", vip, false, facts)] : []),
  ];
}

/** The directors' tunnel packets, past the host's own firewall. */
function tunnelsLetIn({ encapsulation, directors }: RealServerFragment, facts: Facts): Resource[] {
  if (facts.iptables === "none") return [];
  return directors.map(({ index, address }) =>
    filterRule({
      family: 4,
      table: "filter",
      hook: "INPUT",
      id: `let-in:${encapsulation}:${index}`,
      order: ruleOrder.letIn,
      match: [...from(address), ...outerPacket(encapsulation), "-j", "ACCEPT"],
    }),
  );
}

function tunnelsOf(fragment: RealServerFragment, rip: string, facts: Facts): Resource[] {
  const { vip, encapsulation, directors } = fragment;
  if (familyOf(vip) !== 4 || familyOf(rip) !== 4)
    throw new ResolveError("tunnel.familyUnsupported", `Tunnel forwarding of ${vip} to ${rip} needs IPv4 on both ends.`);
  const { modules, fallback } = encapsulations[encapsulation];
  return [
    ...modules.map(module),
    linkState(fallback, false, { ifPresent: true }),
    ...directors.flatMap((director) => tunnelFrom(fragment, director, rip, facts)),
    ...udpEntrance(fragment),
  ];
}

/** GUE says itself what it holds, not only IPIP: from anybody but a director it would pass the host's own firewall by. */
function udpEntrance({ encapsulation, directors }: RealServerFragment): Resource[] {
  const { port: number } = encapsulations[encapsulation];
  if (number === null) return [];
  const rule = (id: string, order: number, match: readonly string[]) =>
    filterRule({ family: 4, table: "raw", hook: "PREROUTING", id, order, match });
  const outer = outerPacket(encapsulation);
  return [
    ...directors.map(({ index, address }) =>
      rule(`accept:${encapsulation}:${index}`, ruleOrder.accept, [...from(address), ...outer, "-j", "RETURN"]),
    ),
    rule(`drop:${encapsulation}`, ruleOrder.drop, [...outer, "-j", "DROP"]),
    { kind: "fouPort", key: resourceKey.fouPort(number), port: number },
  ];
}

/**
 * One device per director, for this node's (VIP, protocol, port) only. It needs an IPv4 address of its own and a loose rp_filter: with none,
 * a distribution's default of 2 drops every packet it brings.
 */
function tunnelFrom(
  { vip, protocol, port: number, encapsulation }: RealServerFragment,
  director: PlannedDirector,
  rip: string,
  facts: Facts,
): Resource[] {
  const name = tunnelName(director.index, encapsulation, rip, facts);
  const rule = (id: string, order: number, match: readonly string[]) =>
    filterRule({ family: 4, table: "raw", hook: "PREROUTING", id, order, match });
  const device = ["-i", name];
  return [
    {
      kind: "link",
      key: resourceKey.link(name),
      name,
      type: encapsulations[encapsulation].device,
      local: rip,
      remote: director.address,
    },
    sysctl(`net/ipv4/conf/${name}/rp_filter`, "2"),
    hostAddress(name, tunnelAddress(director.index), "tunnel"),
    linkState(name, true),
    ...forgery(director, encapsulation, facts),
    rule(`accept:${name}:${vip}:${protocol}:${number}`, ruleOrder.accept, [
      ...to(vip),
      ...device,
      ...port(protocol, "dport", number),
      "-j",
      "RETURN",
    ]),
    // Path MTU discovery of the replies: routers answer the VIP, and the director hands that on through the tunnel.
    rule(`accept:${name}:${vip}:unreachable`, ruleOrder.accept, [
      ...to(vip),
      ...device,
      "-p",
      "icmp",
      "-m",
      "icmp",
      "--icmp-type",
      "3",
      "-j",
      "RETURN",
    ]),
    rule(`drop:${name}`, ruleOrder.drop, [...device, "-j", "DROP"]),
  ];
}

/** On a shared link a neighbour can forge the director's address, but not receive as it: its frames come from another link address. */
function forgery({ index, address, mac }: PlannedDirector, encapsulation: Encapsulation, facts: Facts): Resource[] {
  // A kernel without xt_mac would refuse the whole transaction of rules; doctor says what is missing.
  if (!mac || facts.lacks?.includes("xt_mac") || !onLinkInterface(address, facts)) return [];
  return [
    filterRule({
      family: 4,
      table: "raw",
      hook: "PREROUTING",
      id: `forgery:${encapsulation}:${index}`,
      order: ruleOrder.forgery,
      match: [...from(address), ...outerPacket(encapsulation), "-m", "mac", "!", "--mac-source", mac, "-j", "DROP"],
    }),
  ];
}

/** `trg-7`; a node reached by Tunnel on a second address of its own gets a second device per director, told apart by a hash (15 characters at most). */
export function tunnelName(index: number, encapsulation: Encapsulation, rip: string, facts: Facts): string {
  const other = mainAddress(facts, 4) === rip ? "" : `-${stableHash(rip).slice(0, 4)}`;
  return `trg-${index}${other}${encapsulations[encapsulation].suffix}`;
}

/** 169.254.x.y from a director's index, without the blocks RFC 3927 keeps back (0, 255) and the clouds' metadata block (169). */
export function tunnelAddress(index: number): string {
  const block = 1 + (Math.floor((index - 1) / 254) % 253);
  return `169.254.${block < 169 ? block : block + 1}.${1 + ((index - 1) % 254)}`;
}
