import { z } from "zod";
import { AdminState } from "./effective-weight.ts";
import { HealthMode } from "./health.ts";
import { SyncState } from "./status.ts";
import { Forwarding, Protocol } from "./vocabulary.ts";

/** Connections and bytes per second; null where nobody counted yet. `reply`: towards clients, whoever counted it. */
const Traffic = {
  connectionsPerSecond: z.number().nullable(),
  requestBytesPerSecond: z.number().nullable(),
  replyBytesPerSecond: z.number().nullable(),
};
const Sync = z.object({ state: SyncState, reason: z.string(), message: z.string() });

/** Why the way from a director to a real server carries nothing, the worst cause first. */
export const LinkReason = z.enum([
  "service.disabled",
  "director.none",
  "director.disconnected",
  "adminState.disabled",
  "adminState.maintenance",
  "adminState.draining",
  "gate.none",
  "gate.waiting",
  "health.out",
  "path.failed",
  "sync.failed",
  "sync.conflict",
  "weight.zero",
]);
export type LinkReason = z.infer<typeof LinkReason>;

/** `idle`: somebody wants it so. `broken`: something stands in the way. `unknown`: nobody says how it is now. */
export const LinkState = z.enum(["serving", "idle", "broken", "unknown"]);
export type LinkState = z.infer<typeof LinkState>;

/** One real server in one service: an edge of the picture. */
export const TopologyLink = z.object({
  serviceId: z.string(),
  realServerId: z.string(),
  rip: z.string(),
  port: z.int(),
  /** The enrolled node that owns the RIP; null for an unmanaged real server. */
  nodeId: z.string().nullable(),
  nodeName: z.string().nullable(),
  forwarding: Forwarding,
  adminState: AdminState,
  weight: z.number(),
  active: z.number(),
  state: LinkState,
  reason: LinkReason.nullable(),
  /** The reason in one English sentence, with what was observed. */
  message: z.string().nullable(),
  ...Traffic,
});
export type TopologyLink = z.infer<typeof TopologyLink>;

export const TopologyService = z.object({
  id: z.string(),
  name: z.string(),
  vip: z.string(),
  port: z.int(),
  protocol: Protocol,
  forwarding: Forwarding,
  enabled: z.boolean(),
  directorGroupId: z.string(),
  /** Who holds its VIP now; null: nobody. */
  directorNodeId: z.string().nullable(),
  sync: Sync,
  healthMode: HealthMode.nullable(),
  active: z.number(),
  ...Traffic,
});
export type TopologyService = z.infer<typeof TopologyService>;

export const TopologyDirector = z.object({
  nodeId: z.string(),
  name: z.string(),
  directorGroupId: z.string(),
  groupName: z.string(),
  isActive: z.boolean(),
  isConnected: z.boolean(),
  addresses: z.array(z.string()),
  sync: Sync,
});
export type TopologyDirector = z.infer<typeof TopologyDirector>;

/** The fleet as a picture: services, the directors of their groups, and every way to a real server with its traffic and its trouble. */
export const TopologyView = z.object({
  services: z.array(TopologyService),
  directors: z.array(TopologyDirector),
  links: z.array(TopologyLink),
  /** Services that match; more than in `services` when the picture was cut. */
  total: z.int(),
});
export type TopologyView = z.infer<typeof TopologyView>;
