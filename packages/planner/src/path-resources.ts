import {
  type DirectorServiceFragment,
  type Facts,
  type Family,
  familyOf,
  type IpvsServiceResource,
  type PlannedDestination,
  type Protocol,
  pathProbe,
  type RealServerFragment,
  type Resource,
  resourceKey,
  vipCheck,
} from "@trigon/model";
import { encapsulations } from "./encapsulations.ts";
import { interfaceToward } from "./network.ts";
import { filterRule, from, module, port, ruleOrder, ruleSuffix, sysctl, to } from "./resources.ts";

/** Modules that proof of paths does without where they are missing: a kernel without one would refuse all rules of the table. */
const neededModules = ["xt_addrtype", "xt_mark"];

/** Packets of one kind of probe: its firewall mark, and the ports they come from. `id` begins the ids of its rules. */
interface Probes {
  id: "path" | "check";
  mark: number;
  firstPort: number;
  lastPort: number;
}
const pathProbes: Probes = { id: "path", ...pathProbe };
const checkProbes: Probes = { id: "check", ...vipCheck };

const portsOf = ({ firstPort, lastPort }: Probes) => `${firstPort}:${lastPort}`;
const probePorts = portsOf(pathProbes);

const anyAddress = { 4: "0.0.0.0", 6: "::" } as const satisfies Record<Family, string>;

/** Protocols whose paths are proved. */
type Provable = Extract<Protocol, "tcp" | "udp">;
export const isProvable = (protocol: Protocol): protocol is Provable => protocol === "tcp" || protocol === "udp";

/** The keys of a director's rules that count its probes of a family: `sent` what left the machine, `returned` the replies that reached it. */
export const pathKeys = {
  sent: (family: Family) => resourceKey.filterRule({ family, table: "mangle", hook: "POSTROUTING", id: "path-sent" }),
  returned: (family: Family, leg: string, protocol: Provable) =>
    replies(pathProbes, protocol, family).map(({ suffix }) =>
      resourceKey.filterRule({ family, table: "mangle", hook: "PREROUTING", id: `path-returned:${leg}${suffix}` }),
    ),
} as const;

/** The firewall-mark service of probes. That of paths has a destination only while one is under way, that of checks one that weighs. */
const probeService = ({ mark }: Probes, family: Family): IpvsServiceResource => ({
  kind: "ipvsService",
  key: resourceKey.ipvsService("fwmark", anyAddress[family], mark),
  protocol: "fwmark",
  address: anyAddress[family],
  port: mark,
  scheduler: "rr",
  flags: [],
  timeoutSeconds: 0,
  netmask: family === 4 ? 32 : 128,
});

type ProbeHook = "PREROUTING" | "INPUT" | "OUTPUT" | "POSTROUTING";
const rule = (family: Family, hook: ProbeHook, id: string, order: number, match: readonly string[]) =>
  filterRule({ family, table: hook === "INPUT" ? "filter" : "mangle", hook, id, order, match });

/** Whether this node can prove the paths of a service. */
export function canProvePaths({ provesPaths, protocol }: DirectorServiceFragment, facts: Facts): boolean {
  const lacksModule = neededModules.some((name) => facts.lacks?.includes(name));
  return provesPaths === true && isProvable(protocol) && facts.iptables !== "none" && !lacksModule;
}

/** Whether this node can send a service's health checks to its VIP, and shall. IPv4 only. */
export function checksVip(fragment: DirectorServiceFragment, facts: Facts): boolean {
  const check = fragment.health?.check;
  if (check === undefined || check.kind === "none" || check.target !== "vip") return false;
  return fragment.protocol === "tcp" && familyOf(fragment.vip) === 4 && canProvePaths(fragment, facts);
}

/** Whether a director must take in replies from the VIP itself, which it holds: NAT's come from the real server. */
const answersAsVip = ({ forwarding }: PlannedDestination) => forwarding === "dr" || forwarding === "tun";

/** What all probes of a director share. Equal for all services of a family and protocol, but for the interfaces that replies come in by. */
export function pathResources(fragment: DirectorServiceFragment, facts: Facts): Resource[] {
  const { protocol } = fragment;
  if (!canProvePaths(fragment, facts) || !isProvable(protocol)) return [];
  const family = familyOf(fragment.vip);
  const kinds = checksVip(fragment, facts) ? [pathProbes, checkProbes] : [pathProbes];
  const left = ["!", "-o", "lo", "-m", "mark", "--mark", markOf(pathProbes)];
  const sent = rule(family, "POSTROUTING", "path-sent", ruleOrder.path, left);
  const shared: Resource[] = [module("ip_vs_rr"), ...kinds.flatMap((probes) => marked(probes, protocol, family)), sent];
  const legs = fragment.destinations
    .filter((destination) => answersAsVip(destination) && familyOf(destination.rip) === family)
    .flatMap(({ rip }) => interfaceToward(rip, facts)?.name ?? []);
  return [...shared, ...[...new Set(legs)].flatMap((leg) => replyLeg(leg, kinds, protocol, family))];
}

const markOf = ({ mark }: Probes) => `0x${mark.toString(16)}`;
const probing = (side: "sport" | "dport", probes: Probes, protocol: Provable) =>
  ["-p", protocol, "-m", protocol, `--${side}`, portsOf(probes)] as const;
/** Ends the ids of rules for a protocol; those for TCP had no other beside them once. */
const suffixOf = (protocol: Provable) => (protocol === "tcp" ? "" : `:${protocol}`);

const loopbackNetwork = { 4: "127.0.0.0/8", 6: "::1/128" } as const satisfies Record<Family, string>;

/** What hands the packets of such probes to their service. */
function marked(probes: Probes, protocol: Provable, family: Family): Resource[] {
  // Before IPVS has it, a packet to an address of this machine leaves by lo; what IPVS forwards passes here too, by another interface.
  const toOwn = ["!", "-d", loopbackNetwork[family], "-o", "lo", ...probing("sport", probes, protocol)];
  const mark = ["-j", "MARK", "--set-xmark", `${markOf(probes)}/0xffffffff`];
  return [
    probeService(probes, family),
    rule(family, "OUTPUT", `${probes.id}-mark${suffixOf(protocol)}`, ruleOrder.path, [...toOwn, ...mark]),
  ];
}

/** "Port unreachable", as iptables-save spells it: who listens nowhere for UDP says so. */
const portUnreachable = {
  4: ["-p", "icmp", "-m", "icmp", "--icmp-type", "3/3"],
  6: ["-p", "ipv6-icmp", "-m", "icmp6", "--icmpv6-type", "1/4"],
} as const satisfies Record<Family, readonly string[]>;

/** What a probe may be answered with, and how the ids of its rules end. */
function replies(probes: Probes, protocol: Provable, family: Family): { suffix: string; match: readonly string[] }[] {
  const own = { suffix: suffixOf(protocol), match: probing("dport", probes, protocol) };
  return protocol === "udp" ? [own, { suffix: ":icmp", match: portUnreachable[family] }] : [own];
}

/**
 * Replies bear the VIP, an address of this machine: the kernel drops such packets of IPv4 unless `accept_local` is on. What else it would have
 * dropped for it is dropped by a rule instead. IPv6 takes them in anyway.
 */
function replyLeg(leg: string, kinds: readonly Probes[], protocol: Provable, family: Family): Resource[] {
  const returned = kinds.flatMap((probes) =>
    replies(probes, protocol, family).flatMap(({ suffix, match }) => {
      const reply = ["-i", leg, ...match, "-m", "addrtype", "--src-type", "LOCAL"];
      const id = `${probes.id}-returned:${leg}${suffix}`;
      return [
        rule(family, "PREROUTING", id, ruleOrder.path, [...reply, "-j", "RETURN"]),
        // A stateful firewall knows nothing of the connection: its first packet was IPVS's.
        rule(family, "INPUT", id, ruleOrder.path, [...reply, "-j", "ACCEPT"]),
      ];
    }),
  );
  if (family === 6) return returned;
  const forged = ["-i", leg, "-m", "addrtype", "--src-type", "LOCAL", "-j", "DROP"];
  return [
    ...returned,
    rule(family, "PREROUTING", `path-forged:${leg}`, ruleOrder.drop, forged),
    sysctl(`net/ipv4/conf/${leg}/accept_local`, "1"),
  ];
}

/** Where a real server counts each prober's packets. `accepted` comes after the firewall's table `filter`, for UDP only: TCP says it by itself. */
const arrivalPlaces = {
  arrived: { table: "mangle", hook: "PREROUTING" },
  delivered: { table: "mangle", hook: "INPUT" },
  accepted: { table: "security", hook: "INPUT" },
  answered: { table: "mangle", hook: "OUTPUT" },
} as const;
export type ArrivalStep = keyof typeof arrivalPlaces;

/** nftables has every table; of the legacy ones the kernel may lack this. */
function canCountAccepted(family: Family, { iptables, lacks }: Facts): boolean {
  const module = family === 4 ? "iptable_security" : "ip6table_security";
  return iptables === "nft" || (iptables === "legacy" && !lacks?.includes(module));
}

function arrivalSteps(protocol: Provable, family: Family, facts: Facts): readonly ArrivalStep[] {
  if (protocol === "tcp") return ["arrived", "delivered", "answered"];
  return canCountAccepted(family, facts)
    ? ["arrived", "delivered", "accepted", "answered"]
    : ["arrived", "delivered", "answered"];
}

const arrivalId = (step: ArrivalStep, suffix: string, prober: string) => `path-${step}:${suffix}:${prober}`;

/** The key of the rule that counts a step, for one prober. */
export function arrivalKey(step: ArrivalStep, fragment: RealServerFragment, prober: string): string {
  const id = arrivalId(step, ruleSuffix(fragment), prober);
  return resourceKey.filterRule({ family: familyOf(fragment.vip), ...arrivalPlaces[step], id });
}

/** What a real server counts of the probes for a service: they come in, are let in, and the VIP answers. */
export function arrivalResources(fragment: RealServerFragment, facts: Facts): Resource[] {
  const { vip, protocol, port: number, probedFrom = [] } = fragment;
  if (!isProvable(protocol)) return [];
  const family = familyOf(vip);
  const suffix = ruleSuffix(fragment);
  return probedFrom
    .filter((address) => familyOf(address) === family)
    .flatMap((prober) =>
      arrivalSteps(protocol, family, facts).map((step) => {
        const match =
          step === "answered"
            ? [...from(vip), ...to(prober), ...port(protocol, "sport", number), "--dport", probePorts]
            : [...from(prober), ...to(vip), "-p", protocol, "-m", protocol, "--sport", probePorts, "--dport", `${number}`];
        const id = arrivalId(step, suffix, prober);
        return filterRule({ family, ...arrivalPlaces[step], id, order: ruleOrder.path, match });
      }),
    );
}

/** IPv4 and TCP headers without options. */
const headers = 40;

/**
 * Clients must send no segment that does not fit into the tunnel: routers' word that it is too large is often filtered on the way to them. The
 * SYN-ACK passes the real server only, so it is there that it promises less.
 */
export function mssClamp(fragment: RealServerFragment, rip: string, facts: Facts): Resource[] {
  const { vip, protocol, port: number, encapsulation } = fragment;
  if (familyOf(vip) !== 4 || protocol !== "tcp" || facts.lacks?.includes("xt_TCPMSS")) return [];
  const mtu = Math.min(1500, interfaceToward(rip, facts)?.mtu ?? 1500);
  const largest = mtu - encapsulations[encapsulation].overhead - headers;
  return [
    filterRule({
      family: 4,
      table: "mangle",
      hook: "OUTPUT",
      id: `mss:${ruleSuffix(fragment)}`,
      order: ruleOrder.clamp,
      match: [
        ...from(vip),
        ...port(protocol, "sport", number),
        ...["--tcp-flags", "SYN,RST", "SYN", "-j", "TCPMSS", "--set-mss", String(largest)],
      ],
    }),
  ];
}
