import { z } from "zod";
import { IpAddress, Network } from "./address.ts";
import { AdminState, DrainSpec } from "./effective-weight.ts";
import { HealthSpec } from "./health.ts";
import { Id } from "./ids.ts";
import { Encapsulation, Forwarding, NodeRole, Protocol, Scheduler, SnatSource } from "./vocabulary.ts";

/** A name people give: no control characters, no leading or trailing space. */
export const Name = z
  .string()
  .min(1)
  .max(63)
  .regex(
    /^[\p{L}\p{N}][\p{L}\p{N} ._-]*(?<! )$/u,
    "letters, digits, space, dot, dash and underscore; begins with a letter or digit",
  );

const Weight = z.int().min(0).max(65535);

/** A real server inside a virtual service. `port` null means the service's port; `forwarding` null means the service's. */
export const RealServerSpec = z.strictObject({
  /** Kept across edits; left out for a new one. */
  id: Id.optional(),
  rip: IpAddress,
  port: z.int().min(1).max(65535).nullable().default(null),
  weight: Weight.default(1),
  forwarding: Forwarding.nullable().default(null),
  upperThreshold: z.int().min(0).max(2147483647).default(0),
  lowerThreshold: z.int().min(0).max(2147483647).default(0),
  /** The enrolled node that owns this RIP; left out or null, the controller finds it by the RIP. No node at all: an unmanaged real server. */
  nodeId: Id.nullable().default(null),
  adminState: AdminState.default("active"),
  /** How it is drained; null: `activeConnections` without a deadline. Only draining and maintenance heed it. */
  drain: DrainSpec.nullable().default(null),
});
export type RealServerSpec = z.infer<typeof RealServerSpec>;

/** What an operator asks for. GET returns exactly this plus read-only fields; the server writes every default out. */
export const VirtualServiceSpec = z.strictObject({
  name: Name,
  description: z.string().max(500).default(""),
  enabled: z.boolean().default(true),
  /** Left out: the only director group there is. */
  directorGroupId: Id.optional(),
  vip: IpAddress,
  protocol: Protocol.default("tcp"),
  port: z.int().min(1).max(65535),
  forwarding: Forwarding,
  encapsulation: Encapsulation.default("ipip"),
  snatSource: SnatSource.default("vip"),
  scheduler: Scheduler.default("wlc"),
  schedulerFlags: z
    .array(z.enum(["fallback", "port"]))
    .max(2)
    .default([]),
  persistence: z
    .strictObject({ timeoutSeconds: z.int().min(1).max(2678400), granularity: z.int().min(1).max(128).default(32) })
    .nullable()
    .default(null),
  onePacket: z.boolean().default(false),
  /** How long a real server that comes back takes to its full weight, in ten steps; 0: at once. Only where the scheduler weighs. */
  slowStartSeconds: z.int().min(0).max(3600).default(0),
  /** Networks whose clients may use it; none: everyone. */
  allow: z.array(Network).max(100).default([]),
  health: HealthSpec.default(() => HealthSpec.parse({})),
  realServers: z.array(RealServerSpec).max(1000).default([]),
});
export type VirtualServiceSpec = z.infer<typeof VirtualServiceSpec>;
export type VirtualServiceInput = z.input<typeof VirtualServiceSpec>;

/** `single`: one member is named and holds the VIPs. `vrrp`: members agree among themselves (keepalived, VRRPv3), with no controller asked. */
export const GroupMode = z.enum(["single", "vrrp"]);
export type GroupMode = z.infer<typeof GroupMode>;

export const VrrpMember = z.strictObject({
  nodeId: Id,
  /** The highest of those fit holds the VIPs; 255 is the address owner's and is not given away. */
  priority: z.int().min(1).max(254),
});
export type VrrpMember = z.infer<typeof VrrpMember>;

/** How the members of a group in mode `vrrp` agree. Heeded in that mode only. */
export const VrrpSpec = z.strictObject({
  /** Empty: every director of the group, the earliest enrolled first. */
  members: z.array(VrrpMember).max(16).default([]),
  /** Between two advertisements. VRRPv3 counts hundredths of a second. */
  advertMs: z.int().min(10).max(40_950).multipleOf(10).default(100),
  /** Whether a member that comes back takes the VIPs again from one of a lower priority. */
  preempt: z.boolean().default(false),
  /** Where members speak to one another; null: the interface whose network holds the members' own addresses. */
  interface: z
    .string()
    .regex(/^(?!\.{1,2}$)[^\s/:]{1,15}$/, "1 to 15 characters without space, slash and colon")
    .nullable()
    .default(null),
  peers: z.enum(["unicast", "multicast"]).default("unicast"),
  /** Unique on a segment, and the number of the group's IPVS sync, too; null: the first that no other group has. */
  virtualRouterId: z.int().min(1).max(255).nullable().default(null),
});
export type VrrpSpec = z.infer<typeof VrrpSpec>;

export const DirectorGroupSpec = z.strictObject({
  name: Name,
  mode: GroupMode.default("single"),
  /** Mode `single`: the member that holds the VIPs; null: the first director that enrolls. Mode `vrrp`: who holds them while the mode changes. */
  activeNodeId: Id.nullable().default(null),
  vrrp: VrrpSpec.default(() => VrrpSpec.parse({})),
  /**
   * Addresses that the holder of the VIPs has beside them and that move with them: gateways of NAT real servers, and SNAT sources of full NAT
   * services. Unlike a VIP, one is open to whatever the host itself answers.
   */
  floatingAddresses: z.array(IpAddress).max(64).default([]),
  /** Whether its VIPs answer echo requests. Everything else but their services they never answer. */
  ping: z.boolean().default(true),
  /** Whether agents keep rules that let this group's traffic through the hosts' own firewalls. */
  manageFirewall: z.boolean().default(false),
});
export type DirectorGroupSpec = z.infer<typeof DirectorGroupSpec>;

export const EnrollmentTokenSpec = z.strictObject({
  role: NodeRole,
  directorGroupId: Id.nullable().default(null),
  /** The node's name; null: its host name. */
  name: Name.nullable().default(null),
  expiresInSeconds: z.int().min(60).max(604800).default(3600),
});
export type EnrollmentTokenSpec = z.infer<typeof EnrollmentTokenSpec>;

export const Scope = z.enum(["read", "virtual-service:write", "node:write", "node:enroll", "audit:read", "admin"]);
export type Scope = z.infer<typeof Scope>;

export const ApiTokenSpec = z.strictObject({
  name: Name,
  scopes: z.array(Scope).min(1),
  expiresInDays: z.int().min(1).max(366).default(90),
});
export type ApiTokenSpec = z.infer<typeof ApiTokenSpec>;

/** What a person may do: everything; run the fleet, but neither users nor API tokens; look only. */
export const UserRole = z.enum(["admin", "operator", "viewer"]);
export type UserRole = z.infer<typeof UserRole>;

export const roleScopes: Record<UserRole, readonly Scope[]> = {
  admin: Scope.options,
  operator: ["read", "virtual-service:write", "node:write", "node:enroll", "audit:read"],
  viewer: ["read", "audit:read"],
};

const Password = z.string().min(8).max(128);

/** Somebody who signs in. The name is kept in lower case; it is what changes and audit show. */
export const UserSpec = z.strictObject({
  username: z
    .string()
    .toLowerCase()
    .regex(/^[a-z0-9_.]{3,30}$/),
  role: UserRole.default("viewer"),
  password: Password,
});
export type UserSpec = z.infer<typeof UserSpec>;

/** Single fields of a user. A new password, and `disabled`, end all of the user's sessions. */
export const UserPatch = z.strictObject({
  role: UserRole.optional(),
  disabled: z.boolean().optional(),
  password: Password.optional(),
});
export type UserPatch = z.infer<typeof UserPatch>;

/** What events are about, by the first word of their kind. */
export const eventTopics = {
  drift: ["drift", "foreign", "foreignService"],
  health: ["health", "vip", "action", "plan"],
  takeover: ["group"],
  changes: ["virtualService", "directorGroup", "realServer", "change", "gate", "drain"],
  nodes: ["agent", "node", "enrollmentToken", "fleet"],
  access: ["user", "apiToken", "notificationTarget"],
} as const satisfies Record<string, readonly string[]>;
export const EventTopic = z.enum(["drift", "health", "takeover", "changes", "nodes", "access"]);
export type EventTopic = z.infer<typeof EventTopic>;

/** Where webhooks go. No user and password in it: fetch refuses those, and they would be shown. */
const WebhookUrl = z
  .string()
  .max(2_000)
  .refine(
    (text) => {
      const url = URL.canParse(text) ? new URL(text) : undefined;
      return url !== undefined && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "";
    },
    { message: "must be an http or https URL without a user and password", params: { code: "url.webhook" } },
  );

const targetFields = {
  name: Name,
  url: WebhookUrl,
  topics: z.array(EventTopic).min(1).max(EventTopic.options.length),
  enabled: z.boolean(),
};
/** The key of the HMAC-SHA256 that signs messages. */
const WebhookSecret = z.string().min(8).max(200);

/** A program that is told of events by HTTP POST. */
export const NotificationTargetSpec = z.strictObject({
  ...targetFields,
  kind: z.literal("webhook").default("webhook"),
  topics: targetFields.topics.default(["drift", "health", "takeover", "nodes"]),
  enabled: targetFields.enabled.default(true),
  secret: WebhookSecret.optional(),
});
export type NotificationTargetSpec = z.infer<typeof NotificationTargetSpec>;

/** Single fields of a target. A `secret` of null takes it away; left out, it stays. */
export const NotificationTargetPatch = z.strictObject({ ...targetFields, secret: WebhookSecret.nullable() }).partial();
export type NotificationTargetPatch = z.infer<typeof NotificationTargetPatch>;
