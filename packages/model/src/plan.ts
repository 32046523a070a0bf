import { z } from "zod";
import { IpAddress, Network } from "./address.ts";
import { AdminState, DrainSpec } from "./effective-weight.ts";
import { PlanGuard } from "./guard.ts";
import { PlannedHealth } from "./health.ts";
import { Encapsulation, Forwarding, Protocol, Scheduler, SnatSource } from "./vocabulary.ts";

const Port = z.int().min(0).max(65535);

/** A real server as a director must know it. Only admitted ones are in a plan: not admitted means absent, never weight 0. */
export const PlannedDestination = z.object({
  realServerId: z.string(),
  rip: IpAddress,
  port: Port,
  forwarding: Forwarding,
  weight: z.int().min(0).max(65535),
  upperThreshold: z.int().min(0),
  lowerThreshold: z.int().min(0),
  /** Left out: active. */
  adminState: AdminState.optional(),
  drain: DrainSpec.optional(),
});
export type PlannedDestination = z.infer<typeof PlannedDestination>;

const base = { id: z.string(), hash: z.string(), generation: z.int().min(0) };

/** A director's side of one virtual service. */
export const DirectorServiceFragment = z.object({
  ...base,
  kind: z.literal("director.service"),
  serviceId: z.string(),
  name: z.string(),
  vip: IpAddress,
  protocol: Protocol,
  port: Port,
  scheduler: Scheduler,
  /** `fallback` and `port` of sh and mh: IP_VS_SVC_F_SCHED1 and SCHED2. */
  schedulerFlags: z.array(z.enum(["fallback", "port"])),
  persistence: z.object({ timeoutSeconds: z.int().min(1), granularity: z.int().min(1).max(128) }).nullable(),
  onePacket: z.boolean(),
  encapsulation: Encapsulation,
  snatSource: SnatSource,
  /** DR and Tunnel services of a director that also does full NAT must not be tracked (its conntrack sees only half of them). */
  notrack: z.boolean(),
  /** Left out: nobody checks, and every destination serves. */
  health: PlannedHealth.optional(),
  /** Whether the director proves the way to each real server with probes of its own. Left out: it does not. */
  provesPaths: z.boolean().optional(),
  /** Left out: real servers that come back have their full weight at once. */
  slowStartSeconds: z.int().min(0).optional(),
  /** Networks whose clients may come; none: everyone. Left out (an older controller): the VIP is not closed to anything. */
  allow: z.array(Network).optional(),
  /** Whether rules of ours let its traffic through the host's own firewall. Left out: they do not. */
  managesFirewall: z.boolean().optional(),
  destinations: z.array(PlannedDestination),
});
export type DirectorServiceFragment = z.infer<typeof DirectorServiceFragment>;

/** A VIP that this director must hold. Bound last, after a probe, then announced. */
export const DirectorVipFragment = z.object({
  ...base,
  kind: z.literal("director.vip"),
  vip: IpAddress,
  heldBy: z.enum(["agent", "vrrp"]),
  /** Whether the VIP answers echo requests. Left out (an older controller): all that listens on the director answers at the VIP. */
  ping: z.boolean().optional(),
});
export type DirectorVipFragment = z.infer<typeof DirectorVipFragment>;

/** Another member of a director's group, as VRRP and the sync of connections must know it. */
export const GroupPeer = z.object({
  nodeId: z.string(),
  name: z.string(),
  priority: z.int().min(1).max(254),
  /** Where it speaks from; none: not known yet. */
  addresses: z.array(IpAddress),
});
export type GroupPeer = z.infer<typeof GroupPeer>;

/** A director's part in a group in mode `vrrp`: which VIPs the members move, and how they agree who holds them. */
export const DirectorGroupFragment = z.object({
  ...base,
  kind: z.literal("director.group"),
  groupId: z.string(),
  name: z.string(),
  /** The number of the group's IPVS sync, too. */
  virtualRouterId: z.int().min(1).max(255),
  priority: z.int().min(1).max(254),
  preempt: z.boolean(),
  advertMs: z.int().min(10).max(40_950),
  /** Null: the interface whose network holds the peers' addresses. */
  interface: z.string().nullable(),
  peers: z.enum(["unicast", "multicast"]),
  /** Where this member speaks from: one address or more, the interface's others are not used. */
  addresses: z.array(IpAddress),
  others: z.array(GroupPeer),
  /** They move together. */
  vips: z.array(IpAddress),
  /** An operator asked that this member hold the VIPs, by the change `generation`; it is carried out once. Null: nobody asked. */
  preferred: z.object({ nodeId: z.string(), generation: z.int().min(0) }).nullable(),
});
export type DirectorGroupFragment = z.infer<typeof DirectorGroupFragment>;

/**
 * A director as a real server must know it: `index` names its tunnel device, `address` is where its tunnel packets come from, `mac` the link
 * address of that interface when known, so that a neighbour who forges `address` is told apart.
 */
export const PlannedDirector = z.object({
  nodeId: z.string(),
  index: z.int().min(1).max(65535),
  address: IpAddress,
  mac: z
    .string()
    .regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/)
    .nullable()
    .default(null),
});
export type PlannedDirector = z.infer<typeof PlannedDirector>;

/** A real server's side of one virtual service: a node may serve it on several addresses or ports. */
export const RealServerFragment = z.object({
  ...base,
  kind: z.literal("realServer.serve"),
  serviceId: z.string(),
  name: z.string(),
  vip: IpAddress,
  protocol: Protocol,
  port: Port,
  encapsulation: Encapsulation,
  endpoints: z.array(z.object({ realServerId: z.string(), rip: IpAddress, port: Port, forwarding: Forwarding })),
  directors: z.array(PlannedDirector),
  /** Where directors' path probes come from; left out: nobody proves paths. */
  probedFrom: z.array(IpAddress).optional(),
  /** As the director's. Left out: all that listens on the real server answers at the VIP. */
  allow: z.array(Network).optional(),
  managesFirewall: z.boolean().optional(),
});
export type RealServerFragment = z.infer<typeof RealServerFragment>;

export const Fragment = z.discriminatedUnion("kind", [
  DirectorServiceFragment,
  DirectorVipFragment,
  DirectorGroupFragment,
  RealServerFragment,
]);
export type Fragment = z.infer<typeof Fragment>;

/** Fragment ids: one per (service, VIP or group) and node role. */
export const fragmentId = {
  directorService: (serviceId: string) => `ds:${serviceId}`,
  directorVip: (vip: string) => `dv:${vip}`,
  directorGroup: (groupId: string) => `dg:${groupId}`,
  realServer: (serviceId: string) => `rs:${serviceId}`,
} as const;

/**
 * A fragment's outline: enough to keep and to pass on one that is not understood. Checked by hand, and not copied: a first plan has thousands.
 */
export const RawFragment = z.custom<{ id: string; hash: string; generation: number; kind: string; [member: string]: unknown }>(
  (value) => {
    const { id, hash, kind, generation } = (value ?? {}) as Record<string, unknown>;
    return typeof id === "string" && typeof hash === "string" && typeof kind === "string" && Number.isSafeInteger(generation);
  },
  "a fragment has id, hash, kind (text) and generation (a whole number)",
);
export type RawFragment = z.infer<typeof RawFragment>;

/**
 * What a node must hold, whole (`since` null) or as the difference from generation `since`. Fragments travel unparsed, so that one this
 * agent does not understand fails alone and deletes nothing.
 */
export const PlanEnvelope = z.object({
  protocol: z.int(),
  fleetId: z.string(),
  epoch: z.int().min(1),
  generation: z.int().min(0),
  nodeId: z.string(),
  since: z.int().min(0).nullable(),
  /** The fleet may be looked at but not changed: a restored database waits for an operator. */
  observeOnly: z.boolean(),
  /** An operator meant to remove many services at once. */
  allowMassRemoval: z.boolean(),
  fragments: z.array(RawFragment),
  /** Fragment ids that are no more; ids the agent never had are no error. */
  tombstones: z.array(z.string()),
  /**
   * Ids of fragments whose services were let go of: where one of them is no more, the agent forgets that its objects are its own and leaves them
   * in the kernel as they are. Ids the agent never had are no error.
   */
  released: z.array(z.string()).optional(),
  /** Left out: what it brings stays, whether or not the controller can be reached with it. */
  guard: PlanGuard.optional(),
  /** The controller knows that this node put an earlier plan back by itself, and this is what it shall hold. Left out: it does not know. */
  insists: z.boolean().optional(),
});
export type PlanEnvelope = z.infer<typeof PlanEnvelope>;
