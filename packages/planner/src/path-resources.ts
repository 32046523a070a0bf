import {
  type DirectorServiceFragment,
  type Facts,
  familyOf,
  type IpvsServiceResource,
  type PlannedDestination,
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

/** The keys of what a director keeps for its probes. Its rules count: `sent` what left the machine, `returned` the replies that reached it. */
export const pathKeys = {
  service: resourceKey.ipvsService("fwmark", "0.0.0.0", pathProbe.mark),
  sent: resourceKey.filterRule({ family: 4, table: "mangle", hook: "POSTROUTING", id: "path-sent" }),
  returned: (leg: string) =>
    resourceKey.filterRule({ family: 4, table: "mangle", hook: "PREROUTING", id: `path-returned:${leg}` }),
} as const;

/** The firewall-mark service of probes. That of paths has a destination only while one is under way, that of checks one that weighs. */
const probeService = ({ mark }: Probes): IpvsServiceResource => ({
  kind: "ipvsService",
  key: resourceKey.ipvsService("fwmark", "0.0.0.0", mark),
  protocol: "fwmark",
  address: "0.0.0.0",
  port: mark,
  scheduler: "rr",
  flags: [],
  timeoutSeconds: 0,
  netmask: 32,
});

const rule = (hook: "PREROUTING" | "INPUT" | "OUTPUT" | "POSTROUTING", id: string, order: number, match: readonly string[]) =>
  filterRule({ family: 4, table: hook === "INPUT" ? "filter" : "mangle", hook, id, order, match });

/** Whether this node can prove the paths of a service. */
export function canProvePaths({ provesPaths, vip, protocol }: DirectorServiceFragment, facts: Facts): boolean {
  const lacksModule = neededModules.some((name) => facts.lacks?.includes(name));
  return provesPaths === true && familyOf(vip) === 4 && protocol === "tcp" && facts.iptables !== "none" && !lacksModule;
}

/** Whether this node can send a service's health checks to its VIP, and shall. */
export function checksVip(fragment: DirectorServiceFragment, facts: Facts): boolean {
  const check = fragment.health?.check;
  return check !== undefined && check.kind !== "none" && check.target === "vip" && canProvePaths(fragment, facts);
}

/** Whether a director must take in replies from the VIP itself, which it holds: NAT's come from the real server. */
const answersAsVip = ({ forwarding }: PlannedDestination) => forwarding === "dr" || forwarding === "tun";

/** What all probes of a director share. Equal for all services, but for the interfaces that replies come in by. */
export function pathResources(fragment: DirectorServiceFragment, facts: Facts): Resource[] {
  if (!canProvePaths(fragment, facts)) return [];
  const kinds = checksVip(fragment, facts) ? [pathProbes, checkProbes] : [pathProbes];
  const sent = rule("POSTROUTING", "path-sent", ruleOrder.path, ["!", "-o", "lo", "-m", "mark", "--mark", markOf(pathProbes)]);
  const shared: Resource[] = [module("ip_vs_rr"), ...kinds.flatMap(marked), sent];
  const legs = fragment.destinations
    .filter((destination) => answersAsVip(destination) && familyOf(destination.rip) === 4)
    .flatMap(({ rip }) => interfaceToward(rip, facts)?.name ?? []);
  return [...shared, ...[...new Set(legs)].flatMap((leg) => replyLeg(leg, kinds))];
}

const markOf = ({ mark }: Probes) => `0x${mark.toString(16)}`;
const probing = (side: "sport" | "dport", probes: Probes) => ["-p", "tcp", "-m", "tcp", `--${side}`, portsOf(probes)];

/** What hands the packets of such probes to their service. */
function marked(probes: Probes): Resource[] {
  // Before IPVS has it, a packet to an address of this machine leaves by lo; what IPVS forwards passes here too, by another interface.
  const toOwn = ["!", "-d", "127.0.0.0/8", "-o", "lo", ...probing("sport", probes)];
  const mark = ["-j", "MARK", "--set-xmark", `${markOf(probes)}/0xffffffff`];
  return [probeService(probes), rule("OUTPUT", `${probes.id}-mark`, ruleOrder.path, [...toOwn, ...mark])];
}

/**
 * Replies bear the VIP, an address of this machine: the kernel drops such packets unless `accept_local` is on. What else it would have dropped
 * for it is dropped by a rule instead.
 */
function replyLeg(leg: string, kinds: readonly Probes[]): Resource[] {
  const returned = kinds.flatMap((probes) => {
    const reply = ["-i", leg, ...probing("dport", probes), "-m", "addrtype", "--src-type", "LOCAL"];
    return [
      rule("PREROUTING", `${probes.id}-returned:${leg}`, ruleOrder.path, [...reply, "-j", "RETURN"]),
      // A stateful firewall knows nothing of the connection: its first packet was IPVS's.
      rule("INPUT", `${probes.id}-returned:${leg}`, ruleOrder.path, [...reply, "-j", "ACCEPT"]),
    ];
  });
  return [
    ...returned,
    rule("PREROUTING", `path-forged:${leg}`, ruleOrder.drop, ["-i", leg, "-m", "addrtype", "--src-type", "LOCAL", "-j", "DROP"]),
    sysctl(`net/ipv4/conf/${leg}/accept_local`, "1"),
  ];
}

/** The steps that a real server counts of each prober's packets. */
export const arrivalSteps = ["arrived", "delivered", "answered"] as const;
export type ArrivalStep = (typeof arrivalSteps)[number];

const arrivalHooks = { arrived: "PREROUTING", delivered: "INPUT", answered: "OUTPUT" } as const;
const arrivalId = (step: ArrivalStep, suffix: string, prober: string) => `path-${step}:${suffix}:${prober}`;

/** The key of the rule that counts a step, for one prober. */
export function arrivalKey(step: ArrivalStep, fragment: RealServerFragment, prober: string): string {
  const id = arrivalId(step, ruleSuffix(fragment), prober);
  return resourceKey.filterRule({ family: 4, table: "mangle", hook: arrivalHooks[step], id });
}

/** What a real server counts of the probes for a service: they come in, are let in, and the VIP answers. */
export function arrivalResources(fragment: RealServerFragment): Resource[] {
  const { vip, protocol, port: number, probedFrom = [] } = fragment;
  if (familyOf(vip) !== 4 || protocol !== "tcp") return [];
  const suffix = ruleSuffix(fragment);
  return probedFrom
    .filter((address) => familyOf(address) === 4)
    .flatMap((prober) =>
      arrivalSteps.map((step) => {
        const match =
          step === "answered"
            ? [...from(vip), ...to(prober), ...port(protocol, "sport", number), "--dport", probePorts]
            : [...from(prober), ...to(vip), "-p", protocol, "-m", protocol, "--sport", probePorts, "--dport", `${number}`];
        const id = arrivalId(step, suffix, prober);
        return filterRule({ family: 4, table: "mangle", hook: arrivalHooks[step], id, order: ruleOrder.path, match });
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
