import {
  endpoint,
  familyOf,
  guePort,
  type IpvsDestinationResource,
  type IpvsServiceResource,
  type Resource,
  type SyncDaemonResource,
  serviceKeyOf,
  unreachable,
  type VrrpResource,
} from "@trigon/model";

/** A step of the reconciler, as far as its words go. */
export type Explained =
  | { op: "create"; to: Resource }
  | { op: "update"; from: Resource; to: Resource }
  | { op: "delete"; from: Resource }
  | { op: "restore"; from: Resource; found: { value: string | null } };

const protocolOption = { tcp: "-t", udp: "-u", sctp: "--sctp-service", fwmark: "-f" } as const;

/** How ipvsadm is told which service: a firewall mark has no address, but its family when that is IPv6. */
function serviceName(protocol: keyof typeof protocolOption, address: string, port: number): string {
  if (protocol !== "fwmark") return `${protocolOption[protocol]} ${endpoint(address, port)}`;
  return `-f ${port}${familyOf(address) === 6 ? " -6" : ""}`;
}
const forwardOption = { droute: "-g", tunnel: "-i", masq: "-m" } as const;

/** One line that names a resource with its value, in the words of `ipvsadm -Sn`, `ip` and `sysctl`: for tables and previews. */
export function textOf(resource: Resource): string {
  switch (resource.kind) {
    case "module":
      return `module ${resource.name}`;
    case "link":
      return `${resource.name} type ${resource.type} local ${resource.local} remote ${resource.remote}`;
    case "linkState":
      return `${resource.name} ${resource.up ? "up" : "down"}`;
    case "fouPort":
      return `UDP port ${resource.port} gue`;
    case "sysctl":
      return `${dotted(resource.path)} ${resource.value === undefined ? `>= ${resource.atLeast}` : `= ${resource.value}`}`;
    case "filterRule":
      return `-t ${resource.table} -A ${chainOf(resource)} ${resource.match.join(" ")}`;
    case "ipvsService":
      return `-A ${serviceWords(resource)}`;
    case "ipvsDestination":
      return `-a ${destinationWords(resource)}`;
    case "syncDaemon":
      return `--start-daemon ${daemonWords(resource)}`;
    case "vrrp":
      return vrrpWords(resource);
    case "address":
      return `${resource.address}/${resource.prefix} dev ${resource.interface}`;
    default:
      return unreachable(resource);
  }
}

/** The commands that would do the same by hand, in order. */
export function commandsFor(step: Explained): string[] {
  switch (step.op) {
    case "create":
      return make(step.to);
    case "update":
      return change(step.from, step.to);
    case "delete":
      return unmake(step.from);
    case "restore":
      return putBack(step.from, step.found.value);
    default:
      return unreachable(step);
  }
}

function make(to: Resource): string[] {
  switch (to.kind) {
    case "module":
      return [`modprobe ${to.name}`];
    case "link":
      return [`ip link add ${to.name} type ${to.type} local ${to.local} remote ${to.remote}`];
    case "linkState":
      return [`ip link set ${to.name} ${to.up ? "up" : "down"}`];
    case "fouPort":
      return [`ip fou add port ${to.port} gue`];
    case "sysctl":
      return [`sysctl -w ${dotted(to.path)}=${to.value ?? to.atLeast}`];
    case "filterRule":
      return [ruleCommand("-A", to)];
    case "ipvsService":
      return [`ipvsadm -A ${serviceWords(to)}`];
    case "ipvsDestination":
      return [`ipvsadm -a ${destinationWords(to)}`];
    case "syncDaemon":
      return [`ipvsadm --start-daemon ${daemonWords(to)}`];
    case "vrrp":
      return [`keepalived --vrrp # ${vrrpWords(to)}`];
    case "address":
      return [`ip addr add ${to.address}/${to.prefix} dev ${to.interface}${to.prefix === 128 ? " nodad preferred_lft 0" : ""}`];
    default:
      return unreachable(to);
  }
}

function change(from: Resource, to: Resource): string[] {
  switch (to.kind) {
    case "ipvsService":
      return [`ipvsadm -E ${serviceWords(to)}`];
    case "ipvsDestination":
      return [`ipvsadm -e ${destinationWords(to)}`];
    case "link":
    case "filterRule":
    case "syncDaemon":
      return [...unmake(from), ...make(to)];
    case "module":
    case "linkState":
    case "fouPort":
    case "sysctl":
    case "address":
    case "vrrp":
      return make(to);
    default:
      return unreachable(to);
  }
}

function unmake(from: Resource): string[] {
  switch (from.kind) {
    case "link":
      return [`ip link del ${from.name}`];
    case "fouPort":
      return [`ip fou del port ${from.port}`];
    case "filterRule":
      return [ruleCommand("-D", from)];
    case "ipvsService":
      return [`ipvsadm -D ${serviceName(from.protocol, from.address, from.port)}`];
    case "ipvsDestination":
      return [`ipvsadm -d ${ofService(from)} -r ${endpoint(from.address, from.port)}`];
    case "syncDaemon":
      return [`ipvsadm --stop-daemon ${from.state}`];
    case "vrrp":
      return [`keepalived --vrrp # without ${vrrpWords(from)}`];
    case "address":
      return [`ip addr del ${from.address}/${from.prefix} dev ${from.interface}`];
    case "module":
    case "linkState":
    case "sysctl":
      return []; // settings are put back, modules stay
    default:
      return unreachable(from);
  }
}

function daemonWords({ state, interface: name, syncId }: SyncDaemonResource): string {
  return `${state} --mcast-interface ${name} --syncid ${syncId}`;
}

function vrrpWords({ virtualRouterId, interface: name, source, priority, advertMs, unicastPeers, vips }: VrrpResource): string {
  const to = unicastPeers === null ? "multicast" : unicastPeers.join(" ") || "nobody";
  const held = vips.map(({ address }) => address).join(" ") || "none";
  return `VRRP ${virtualRouterId} dev ${name} ${source} > ${to} priority ${priority} every ${advertMs} ms, VIPs ${held}`;
}

function putBack(from: Resource, value: string | null): string[] {
  if (value === null) return [];
  if (from.kind === "sysctl") return [`sysctl -w ${dotted(from.path)}=${value}`];
  if (from.kind === "linkState") return [`ip link set ${from.name} ${value}`];
  return [];
}

/** sysctl's own spelling: a dot in an interface name becomes a slash. */
function dotted(path: string): string {
  return path.replace(/[./]/g, (separator) => (separator === "/" ? "." : "/"));
}

const chainOf = ({ hook, chain }: Extract<Resource, { kind: "filterRule" }>): string =>
  `TRIGON-${hook}${chain === undefined ? "" : `-${chain}`}`;

function ruleCommand(verb: "-A" | "-D", rule: Extract<Resource, { kind: "filterRule" }>): string {
  return `${rule.family === 4 ? "iptables" : "ip6tables"} -t ${rule.table} ${verb} ${chainOf(rule)} ${rule.match.join(" ")}`;
}

function serviceWords(service: IpvsServiceResource): string {
  const { protocol, address, port, scheduler, flags, timeoutSeconds, netmask } = service;
  const words = [serviceName(protocol, address, port), "-s", scheduler];
  if (flags.includes("persistent")) {
    words.push("-p", String(timeoutSeconds));
    const host = familyOf(address) === 4 ? 32 : 128;
    if (netmask !== host) words.push("-M", familyOf(address) === 4 ? dottedMask(netmask) : String(netmask));
  }
  if (flags.includes("onePacket")) words.push("-o");
  const schedulerFlags = (["sched1", "sched2", "sched3"] as const).filter((flag) => flags.includes(flag));
  if (schedulerFlags.length > 0) words.push("-b", schedulerFlags.map((flag) => schedulerFlagName(scheduler, flag)).join(","));
  return words.join(" ");
}

/** ipvsadm names the flags of sh and mh, and numbers those of others. */
function schedulerFlagName(scheduler: string, flag: "sched1" | "sched2" | "sched3"): string {
  const names: Partial<Record<typeof flag, string>> = { sched1: "fallback", sched2: "port" };
  const name = names[flag];
  return name && (scheduler === "sh" || scheduler === "mh") ? `${scheduler}-${name}` : `flag-${flag.slice(-1)}`;
}

function dottedMask(prefix: number): string {
  const mask = prefix === 0 ? 0 : (0xffffffff << (32 - prefix)) >>> 0;
  return [24, 16, 8, 0].map((shift) => (mask >>> shift) & 255).join(".");
}

function destinationWords(destination: IpvsDestinationResource): string {
  const { address, port, forward, weight, upperThreshold, lowerThreshold, tunnelType } = destination;
  const words = [ofService(destination), "-r", endpoint(address, port), forwardOption[forward]];
  if (forward === "tunnel" && tunnelType !== "ipip")
    words.push("--tun-type", tunnelType, ...(tunnelType === "gue" ? ["--tun-port", String(guePort)] : []));
  words.push("-w", String(weight));
  if (upperThreshold > 0) words.push("-x", String(upperThreshold));
  if (lowerThreshold > 0) words.push("-y", String(lowerThreshold));
  return words.join(" ");
}

function ofService({ key }: IpvsDestinationResource): string {
  const [, protocol = "tcp", address = "", port = "0"] = serviceKeyOf(key).split(" ");
  return serviceName(protocol as keyof typeof protocolOption, address, Number(port));
}
