import {
  type DirectorServiceFragment,
  type Facts,
  type Forwarding,
  familyOf,
  hostPrefix,
  type IpvsDestinationResource,
  type IpvsServiceFlag,
  type IpvsServiceResource,
  type PlannedDestination,
  protocolNumber,
  type Resource,
  resourceKey,
  type ServiceHealth,
  unreachable,
} from "@trigon/model";
import { interfaceToward } from "./network.ts";
import { checksVip, pathResources } from "./path-resources.ts";
import { filterRule, from, module, port, ruleOrder, ruleSuffix, sysctl, sysctlIfPresent, to } from "./resources.ts";
import { honoursPersistence, needsFallback, possibleDestinations, servingDestinations } from "./serving.ts";
import { letIn, openService } from "./vip-guard.ts";

/**
 * Whether the kernel ends the connections of a destination whenever it is gone, or when the agent takes it out (packages/kernel/src/farewell.ts) and
 * keeps them otherwise, so that they outlive a table that somebody empties. Its setting counts for the whole director.
 */
const expireNodest = sysctlIfPresent("net/ipv4/vs/expire_nodest_conn", "1");
const keeping: Resource = { ...expireNodest, value: "0", isDefault: true };
/** From here on the kernel ends connections at the moment in which their destination goes, and not with their next packet. */
const endsAtOnce = [5, 9] as const;

const reuse = sysctlIfPresent("net/ipv4/vs/conn_reuse_mode", "1");

const quiescent = sysctlIfPresent("net/ipv4/vs/expire_quiescent_template", "1");
/** The kernel has one setting for the whole director: while any service drains and honours persistence, it is off for all. */
const quiescing: Resource = { ...quiescent, isDefault: true };
const honouring: Resource = { ...quiescent, value: "0" };

/** A director's side of one virtual service, without its VIP. Pure: same fragment, facts and health, same resources. */
export function directorService(planned: DirectorServiceFragment, facts: Facts, health?: ServiceHealth): Resource[] {
  const possible = possibleDestinations(planned);
  const fragment = possible === planned.destinations ? planned : { ...planned, destinations: possible };
  const service = ipvsService(fragment);
  const serving = servingDestinations(planned, health);
  const keyStart = resourceKey.ipvsDestinationsOf(service.key);
  const destinations = serving.map((destination): Resource => ipvsDestination(fragment, service.key, keyStart, destination));
  const footing = [
    module("ip_vs"),
    // Health checks that go to the VIP use a port again for another real server: that needs it, too.
    checksVip(planned, facts) || !isAtLeast(facts.kernel, endsAtOnce) ? expireNodest : keeping,
    honoursPersistence(planned) ? honouring : quiescing,
    reuse,
    module(`ip_vs_${fragment.scheduler}`),
    ...(fragment.destinations.some(({ forwarding }) => isMasqueraded(forwarding)) ? routing(fragment, facts) : []),
    ...sourceNat(fragment),
    ...notrack(fragment),
    ...pathResources(planned, facts),
    ...opening(fragment, facts),
    service,
  ];
  return footing.concat(destinations);
}

function ipvsService(fragment: DirectorServiceFragment): IpvsServiceResource {
  const { vip, protocol, port: number, persistence } = fragment;
  const flags: IpvsServiceFlag[] = [];
  if (persistence) flags.push("persistent");
  if (fragment.onePacket) flags.push("onePacket");
  if (fragment.schedulerFlags.includes("fallback") || needsFallback(fragment)) flags.push("sched1");
  if (fragment.schedulerFlags.includes("port")) flags.push("sched2");
  return {
    kind: "ipvsService",
    key: resourceKey.ipvsService(protocol, vip, number),
    protocol,
    address: vip,
    port: number,
    scheduler: fragment.scheduler,
    flags,
    timeoutSeconds: persistence?.timeoutSeconds ?? 0,
    netmask: persistence?.granularity ?? hostPrefix(vip),
  };
}

function ipvsDestination(
  { encapsulation }: DirectorServiceFragment,
  service: string,
  keyStart: string,
  destination: PlannedDestination,
): IpvsDestinationResource {
  const { rip, port: number, forwarding, weight, upperThreshold, lowerThreshold } = destination;
  return {
    kind: "ipvsDestination",
    // In one piece: a plan has tens of thousands, and each is looked at again and again.
    key: [keyStart, rip, " ", number].join(""),
    service,
    address: rip,
    port: number,
    forward: forwardOf(forwarding),
    weight,
    upperThreshold,
    lowerThreshold,
    tunnelType: forwarding === "tun" ? encapsulation : "ipip",
  };
}

function forwardOf(forwarding: Forwarding): IpvsDestinationResource["forward"] {
  switch (forwarding) {
    case "dr":
      return "droute";
    case "tun":
      return "tunnel";
    case "nat":
    case "fullnat":
      return "masq";
    default:
      return unreachable(forwarding);
  }
}

function isMasqueraded(forwarding: Forwarding): boolean {
  return forwarding === "nat" || forwarding === "fullnat";
}

/** A masquerading director routes replies; a redirect would tell real servers on the client's link to answer without it. */
function routing({ vip, destinations }: DirectorServiceFragment, facts: Facts): Resource[] {
  if (familyOf(vip) === 6) return [sysctl("net/ipv6/conf/all/forwarding", "1")];
  const addresses = [vip, ...destinations.filter(({ forwarding }) => isMasqueraded(forwarding)).map(({ rip }) => rip)];
  const legs = addresses.flatMap((address) => interfaceToward(address, facts)?.name ?? []);
  const names = ["all", ...new Set(legs)];
  return [sysctl("net/ipv4/ip_forward", "1"), ...names.map((name) => sysctl(`net/ipv4/conf/${name}/send_redirects`, "0"))];
}

/** Full NAT is masquerading plus source NAT, and IPVS takes part in netfilter's NAT only with `conntrack` on. */
function sourceNat(fragment: DirectorServiceFragment): Resource[] {
  const { vip, port: number, protocol, snatSource, destinations } = fragment;
  const name = ruleSuffix(fragment);
  const fullnat = destinations.filter(({ forwarding }) => forwarding === "fullnat");
  if (fullnat.length === 0) return [];
  const service = [
    "-m",
    "ipvs",
    "--vproto",
    String(protocolNumber[protocol]),
    "--vaddr",
    `${vip}/${hostPrefix(vip)}`,
    "--vport",
    `${number}`,
  ];
  const source = snatSource === "vip" ? vip : snatSource;
  const target = source === "dip" ? ["-j", "MASQUERADE"] : ["-j", "SNAT", "--to-source", source];
  const rule = (id: string, match: readonly string[]) =>
    filterRule({
      family: familyOf(vip),
      table: "nat",
      hook: "POSTROUTING",
      id,
      order: ruleOrder.snat,
      match: [...match, ...service, ...target],
    });
  // A service that mixes forwardings must rewrite the source of its full NAT real servers only.
  const rules =
    fullnat.length === destinations.length
      ? [rule(`snat:${name}`, [])]
      : [...new Set(fullnat.map(({ rip }) => rip))].map((rip) => rule(`snat:${name}:${rip}`, to(rip)));
  return [module("nf_conntrack"), module("xt_ipvs"), sysctl("net/ipv4/vs/conntrack", "1"), ...rules];
}

function opening(fragment: DirectorServiceFragment, facts: Facts): Resource[] {
  const { vip, protocol, port: number, allow, managesFirewall } = fragment;
  const service = { vip, protocol, port: number, allow: allow ?? [] };
  return [
    ...(allow === undefined ? [] : openService("director", service, facts)),
    ...(managesFirewall ? [...letIn(service, facts), ...letThrough(fragment, facts)] : []),
  ];
}

/** Replies of masqueraded real servers are routed through the director. */
function letThrough({ vip, protocol, destinations }: DirectorServiceFragment, facts: Facts): Resource[] {
  if (facts.iptables === "none") return [];
  const replying = destinations.filter(({ forwarding }) => isMasqueraded(forwarding));
  return replying.map(({ rip, port: number }) =>
    filterRule({
      family: familyOf(vip),
      table: "filter",
      hook: "FORWARD",
      id: `let-through:${rip}:${protocol}:${number}`,
      order: ruleOrder.accept,
      match: [...from(rip), ...(number === 0 ? ["-p", protocol] : port(protocol, "sport", number)), "-j", "ACCEPT"],
    }),
  );
}

/** A director sees one direction only of DR and Tunnel connections: tracked, its stateful firewall would call them invalid. */
function notrack(fragment: DirectorServiceFragment): Resource[] {
  const { notrack: wanted, vip, protocol, port: number, destinations } = fragment;
  if (!wanted || destinations.some(({ forwarding }) => isMasqueraded(forwarding))) return [];
  return [
    filterRule({
      family: familyOf(vip),
      table: "raw",
      hook: "PREROUTING",
      id: `notrack:${ruleSuffix(fragment)}`,
      order: ruleOrder.notrack,
      match: [...to(vip), ...port(protocol, "dport", number), "-j", "CT", "--notrack"],
    }),
  ];
}

/** Whether a kernel's release (`uname -r`) is this one or later. */
function isAtLeast(release: string, [major, minor]: readonly [number, number]): boolean {
  const [own = 0, ownMinor = 0] = release.split(".").map((part) => Number.parseInt(part, 10));
  return own > major || (own === major && ownMinor >= minor);
}
