import type { Encapsulation, Protocol } from "./vocabulary.ts";

/**
 * What a kernel must hold, one flat value each, named by a stable `key`. Equality is by value; counters never enter.
 * Words here are the kernel's (droute, masq), not the console's (dr, nat).
 */
export type Resource =
  | ModuleResource
  | LinkResource
  | LinkStateResource
  | FouPortResource
  | SysctlResource
  | FilterRuleResource
  | IpvsServiceResource
  | IpvsDestinationResource
  | SyncDaemonResource
  | AddressResource
  | VrrpResource;

export type ResourceKind = Resource["kind"];
export type ResourceOf<K extends ResourceKind> = Extract<Resource, { kind: K }>;

/** A kernel module that must be loaded (or built in). Never unloaded by us: other namespaces may use it. */
export interface ModuleResource {
  kind: "module";
  key: string;
  name: string;
}

/** A tunnel device of our own, one per director. Made down; `linkState` brings it up after its sysctls are right. */
export interface LinkResource {
  kind: "link";
  key: string;
  name: string;
  type: Exclude<Encapsulation, "gue">;
  local: string;
  remote: string;
}

/** Whether a device is up. A setting: the value found is journalled and put back. `ifPresent`: a device that is not there is as good as down. */
export interface LinkStateResource {
  kind: "linkState";
  key: string;
  name: string;
  up: boolean;
  ifPresent?: boolean;
}

/** A UDP port whose packets the kernel unwraps as GUE (IPv4). Anybody's: opened behind the rules that keep strangers out. */
export interface FouPortResource {
  kind: "fouPort";
  key: string;
  port: number;
}

/** A file under /proc/sys, `path` with slashes. Either an exact `value`, or a number that must be `atLeast` so much (arp_ignore: the kernel uses the maximum). */
export interface SysctlResource {
  kind: "sysctl";
  key: string;
  path: string;
  value?: string;
  atLeast?: number;
  /** A kernel that lacks the file does without it (net/ipv4/vs/* differ between kernels). */
  ifPresent?: boolean;
  /** Gives way to any other value that a fragment asks for. */
  isDefault?: boolean;
}

/**
 * One rule of iptables or ip6tables in Trigon's own chain for that table and hook. `id` is unique in the chain and travels as the rule's
 * comment (`trigon:<id>@<order>`); `order` sorts rules inside the chain, lowest first; `match` is the rule without -A and without the comment.
 */
export interface FilterRuleResource {
  kind: "filterRule";
  key: string;
  family: 4 | 6;
  table: "raw" | "mangle" | "nat" | "filter" | "security";
  hook: "PREROUTING" | "INPUT" | "FORWARD" | "OUTPUT" | "POSTROUTING";
  /** A chain below ours, `TRIGON-INPUT-<chain>`, that rules of ours lead to (`-g`); it lives while it has rules or one leads there. */
  chain?: string;
  id: string;
  order: number;
  match: readonly string[];
}

/** What names a service in the kernel's table: protocol, address and port, or a firewall mark. */
export type IpvsProtocol = Protocol | "fwmark";

/** IP_VS_SVC_F_* of <linux/ip_vs.h>, without HASHED, which only the kernel sets. */
export type IpvsServiceFlag = "persistent" | "onePacket" | "sched1" | "sched2" | "sched3";

/**
 * A virtual service of the kernel's table. One of a firewall mark has the mark for its port and the unspecified address of its family.
 * `netmask` is a prefix length; `timeoutSeconds` 0 when not persistent.
 */
export interface IpvsServiceResource {
  kind: "ipvsService";
  key: string;
  protocol: IpvsProtocol;
  address: string;
  port: number;
  scheduler: string;
  flags: readonly IpvsServiceFlag[];
  timeoutSeconds: number;
  netmask: number;
}

export interface IpvsDestinationResource {
  kind: "ipvsDestination";
  key: string;
  /** The `key` of the service it belongs to. */
  service: string;
  address: string;
  port: number;
  forward: "masq" | "tunnel" | "droute";
  weight: number;
  upperThreshold: number;
  lowerThreshold: number;
  /** Only for `tunnel`; the kernel resets it on every update, so it is always sent. */
  tunnelType: Encapsulation;
}

/**
 * An address on an interface. A director's VIP (`probe`) is bound only after a probe that nobody else holds it, and announced afterwards;
 * a tunnel's own address comes with the link; a VIP on `lo` comes last of all.
 */
export interface AddressResource {
  kind: "address";
  key: string;
  interface: string;
  address: string;
  prefix: number;
  purpose: "tunnel" | "vipOnLoopback" | "vipOnDirector";
}

/** The kernel's half of carrying connections to the peers of a group: one that sends and one that takes in, of each at most one. */
export interface SyncDaemonResource {
  kind: "syncDaemon";
  key: string;
  state: "master" | "backup";
  interface: string;
  /** 0 to 255. */
  syncId: number;
}

/**
 * A director's part in VRRP for one group, carried out by a keepalived of our own: it binds `vips` while it is master, and nobody else does.
 * `priority` is the one before tracking adds to it or takes from it.
 */
export interface VrrpResource {
  kind: "vrrp";
  key: string;
  groupId: string;
  virtualRouterId: number;
  priority: number;
  advertMs: number;
  interface: string;
  /** Where advertisements come from. */
  source: string;
  /** Null: members speak by multicast. */
  unicastPeers: readonly string[] | null;
  vips: readonly { address: string; interface: string }[];
}

/** Keys: kind first, then the kernel's own name for the thing. The only place that spells them. */
export const resourceKey = {
  module: (name: string) => `module ${name}`,
  link: (name: string) => `link ${name}`,
  linkState: (name: string) => `linkState ${name}`,
  fouPort: (port: number) => `fouPort ${port}`,
  sysctl: (path: string) => `sysctl ${path}`,
  filterRule: (rule: Pick<FilterRuleResource, "family" | "table" | "hook" | "id">) =>
    `filterRule ${rule.family} ${rule.table} ${rule.hook} ${rule.id}`,
  ipvsService: (protocol: IpvsProtocol, address: string, port: number) => `ipvsService ${protocol} ${address} ${port}`,
  ipvsDestination: (serviceKey: string, address: string, port: number) =>
    `${resourceKey.ipvsDestinationsOf(serviceKey)}${address} ${port}`,
  /** What the keys of all destinations of a service begin with; `ADDRESS PORT` follows. */
  ipvsDestinationsOf: (serviceKey: string): string => `ipvsDestination${serviceKey.slice("ipvsService".length)} > `,
  syncDaemon: (state: SyncDaemonResource["state"]) => `syncDaemon ${state}`,
  vrrp: (groupId: string) => `vrrp ${groupId}`,
  address: (name: string, address: string, prefix: number) => `address ${name} ${address}/${prefix}`,
} as const;

/** The kind that a key names. */
export function kindOfKey(key: string): ResourceKind {
  return key.slice(0, key.indexOf(" ")) as ResourceKind;
}

/** The service a destination's key belongs to. */
export function serviceKeyOf(destinationKey: string): string {
  return `ipvsService${destinationKey.slice("ipvsDestination".length, destinationKey.indexOf(" > "))}`;
}
