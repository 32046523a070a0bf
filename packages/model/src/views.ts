import { z } from "zod";
import { DoctorReport } from "./doctor.ts";
import { Facts } from "./facts.ts";
import { GuardView } from "./guard.ts";
import { HealthCheck, HealthMode } from "./health.ts";
import { PathView } from "./path.ts";
import {
  AgentEvent,
  Counters,
  DrainReport,
  GroupFinding,
  GroupReport,
  GroupRole,
  RealServerHealth,
  TableRow,
} from "./protocol.ts";
import {
  ApiTokenSpec,
  DirectorGroupSpec,
  EnrollmentTokenSpec,
  EventTopic,
  RealServerSpec,
  UserRole,
  VirtualServiceSpec,
} from "./spec.ts";
import { SyncState } from "./status.ts";
import { Forwarding, NodeRole, Protocol } from "./vocabulary.ts";

/** What the API answers. A view is the spec it was made from plus read-only fields, kept apart in `status`. */

const At = z.iso.datetime();

export const Sync = z.object({ state: SyncState, reason: z.string(), message: z.string() });

export const GateView = z.object({
  realServerId: z.string(),
  rip: z.string(),
  port: z.int(),
  /** The enrolled node that owns the RIP; null for an unmanaged real server. */
  nodeId: z.string().nullable(),
  directorNodeId: z.string(),
  state: z.enum(["waiting", "open", "releasing"]),
  /** Why it is not open, in one sentence; null when it is. */
  reason: z.string().nullable(),
  /** The same as a closed code, with what fills its sentence. */
  reasonCode: z.enum(["releasing", "silent", "trouble", "unserved"]).nullable(),
  values: z.record(z.string(), z.string()),
  since: At,
});
export type GateView = z.infer<typeof GateView>;

export const NodePartView = z.object({
  nodeId: z.string(),
  nodeName: z.string(),
  role: NodeRole,
  state: SyncState,
  reason: z.string(),
  message: z.string(),
});

/** What the active director's checks say of a service; null when it checks nothing, or has not said yet. */
export const ServiceHealthView = z.object({
  directorNodeId: z.string(),
  /** `failOpen`: too few real servers pass, so checks are not heeded; `sorry`: the sorry server serves instead. */
  mode: HealthMode,
  /** The check as it is made, defaults filled in. */
  check: HealthCheck,
  realServers: z.array(RealServerHealth),
});
export type ServiceHealthView = z.infer<typeof ServiceHealthView>;

export const VirtualServiceView = VirtualServiceSpec.extend({
  directorGroupId: z.string(),
  realServers: z.array(RealServerSpec.extend({ id: z.string(), port: z.int().nullable() })),
  id: z.string(),
  revision: z.int(),
  createdAt: At,
  updatedAt: At,
  status: z.object({ sync: Sync, parts: z.array(NodePartView), gates: z.array(GateView), health: ServiceHealthView.nullable() }),
});
export type VirtualServiceView = z.infer<typeof VirtualServiceView>;

/** A director of a group, as far as the group goes. */
export const GroupMemberView = z.object({
  nodeId: z.string(),
  name: z.string(),
  /** Whether it holds the VIPs: in mode `vrrp` by its own word, else because it was named. */
  isActive: z.boolean(),
  isConnected: z.boolean(),
  /** Null: it is no member of the pair. */
  priority: z.int().nullable(),
  /** Whether it takes part in VRRP by now. */
  isJoined: z.boolean(),
  /** Null, and all below: it said nothing of this group. */
  role: GroupRole.nullable(),
  since: At.nullable(),
  isReady: z.boolean().nullable(),
  syncDaemons: GroupReport.shape.syncDaemons,
  findings: z.array(GroupFinding),
});
export type GroupMemberView = z.infer<typeof GroupMemberView>;

/** A takeover that somebody asked for. `drill`: there and back. */
export const GroupMoveView = z.object({
  id: z.string(),
  directorGroupId: z.string(),
  kind: z.enum(["move", "drill"]),
  from: z.object({ nodeId: z.string(), name: z.string() }),
  to: z.object({ nodeId: z.string(), name: z.string() }),
  startedAt: At,
  startedBy: z.string(),
  endedAt: At.nullable(),
  /** `returning`: a drill on its way back. */
  state: z.enum(["moving", "returning", "done", "failed"]),
  /** A closed code; empty: nothing is wrong. */
  reason: z.string(),
  /**
   * From the end of one member's mastership to the beginning of the other's, by their own clocks, each set right by the controller's. No
   * client measured it. Null: not measured.
   */
  gapMs: z.int().nullable(),
  /** The same on the way back. */
  backGapMs: z.int().nullable(),
});
export type GroupMoveView = z.infer<typeof GroupMoveView>;

/**
 * An upgrade of a node's program that somebody asked for. `moving`: VIPs that it holds go to a peer; `installing`: its installer runs;
 * `settling`: the new program takes up its plan.
 */
export const NodeUpgradeView = z.object({
  id: z.string(),
  nodeId: z.string(),
  startedAt: At,
  startedBy: z.string(),
  endedAt: At.nullable(),
  state: z.enum(["moving", "installing", "settling", "done", "failed"]),
  /** A closed code; empty: nothing is wrong. */
  reason: z.string(),
  /** What the node or its installer said; empty: nothing. */
  message: z.string(),
  fromVersion: z.string().nullable(),
  toVersion: z.string().nullable(),
  /** Groups whose VIPs went to a peer for it, and stay there. */
  movedGroupIds: z.array(z.string()),
});
export type NodeUpgradeView = z.infer<typeof NodeUpgradeView>;

/** `joining` and `leaving`: the mode changes step by step, so that the VIPs are always held by exactly one. */
export const GroupPhase = z.enum(["single", "joining", "paired", "leaving"]);

export const DirectorGroupView = DirectorGroupSpec.extend({
  id: z.string(),
  revision: z.int(),
  members: z.array(GroupMemberView),
  status: z.object({
    phase: GroupPhase,
    /** Who holds the VIPs, as far as is known. */
    holderNodeId: z.string().nullable(),
    /** The number in use; null: none was needed yet. */
    virtualRouterId: z.int().nullable(),
    vips: z.array(z.string()),
    /** Whether the VIPs can be moved now, and if not, why. */
    move: z.object({ toNodeId: z.string().nullable(), refusal: GroupFinding.nullable() }),
    /** The newest change of holder that members told of, asked for or not. */
    lastTakeover: z.object({ nodeId: z.string(), at: At }).nullable(),
    findings: z.array(GroupFinding),
  }),
});
export type DirectorGroupView = z.infer<typeof DirectorGroupView>;

export const NodeState = z.enum(["active", "revoked", "quarantined", "decommissioned"]);

export const NodeView = z.object({
  id: z.string(),
  revision: z.int(),
  name: z.string(),
  role: NodeRole,
  directorGroupId: z.string().nullable(),
  state: NodeState,
  isConnected: z.boolean(),
  isActiveDirector: z.boolean(),
  lastSeenAt: At.nullable(),
  enrolledAt: At,
  agentVersion: z.string().nullable(),
  certificateExpiresAt: At.nullable(),
  addresses: z.array(z.string()),
  generation: z.object({ wanted: z.int(), applied: z.int().nullable() }),
  sync: Sync,
});
export type NodeView = z.infer<typeof NodeView>;

export const NodeDetailView = NodeView.extend({
  facts: Facts.nullable(),
  table: z.object({ rows: z.array(TableRow), total: z.int(), at: At }).nullable(),
  events: z.array(AgentEvent),
  /** What its agent found when it looked at the machine; null: it has not said. */
  doctor: DoctorReport.nullable(),
  parts: z.array(
    z.object({ fragmentId: z.string(), title: z.string(), state: SyncState, reason: z.string(), message: z.string() }),
  ),
});
export type NodeDetailView = z.infer<typeof NodeDetailView>;

/** A service in a director's table that Trigon did not make, in ipvsadm's words. */
export const ForeignServiceView = z.object({
  key: z.string(),
  text: z.string(),
  realServers: z.array(z.string()),
  /** `adopt` and `remove` are under way; `ignore`: it is no finding any more. Null: nobody decided. */
  decision: z.enum(["adopt", "ignore", "remove"]).nullable(),
  /** Why it cannot be adopted; null: it can. */
  refusal: z.string().nullable(),
});
export type ForeignServiceView = z.infer<typeof ForeignServiceView>;

/** That a virtual service was adopted: it stood in a director's table before Trigon had it. */
export const AdoptionView = z.object({
  nodeId: z.string(),
  nodeName: z.string(),
  at: At,
  /** Why it cannot be let go of; null: it can. */
  refusal: z.string().nullable(),
});
export type AdoptionView = z.infer<typeof AdoptionView>;

/** The life of an enrollment, as the console's row shows it. */
export const EnrollmentStage = z.enum([
  "created",
  "scriptFetched",
  "preflightFailed",
  "enrolled",
  "connected",
  "inSync",
  "expired",
  "revoked",
]);

export const EnrollmentTokenView = EnrollmentTokenSpec.omit({ expiresInSeconds: true }).extend({
  id: z.string(),
  createdAt: At,
  createdBy: z.string(),
  expiresAt: At,
  usedAt: At.nullable(),
  revokedAt: At.nullable(),
  stage: EnrollmentStage,
  /** Where the script was fetched from, and what the preflight said. */
  lastContact: z.object({ at: At, address: z.string().nullable(), message: z.string().nullable() }).nullable(),
  nodeId: z.string().nullable(),
});
export type EnrollmentTokenView = z.infer<typeof EnrollmentTokenView>;

/** Shown once: the secret is kept only as a hash. */
export const EnrollmentTokenCreated = EnrollmentTokenView.extend({
  token: z.string(),
  commands: z.object({
    curl: z.string(),
    wget: z.string(),
    /** One task, in YAML: does nothing on a machine that is a node already. */
    ansible: z.string(),
  }),
});

export const ApiTokenView = ApiTokenSpec.omit({ expiresInDays: true }).extend({
  id: z.string(),
  createdAt: At,
  expiresAt: At,
  lastUsedAt: At.nullable(),
  createdBy: z.string(),
  /** The first characters, to tell tokens apart. */
  prefix: z.string(),
});
export const ApiTokenCreated = ApiTokenView.extend({ token: z.string() });

export const UserView = z.object({
  id: z.string(),
  username: z.string(),
  role: UserRole,
  disabled: z.boolean(),
  createdAt: At,
  /** Sessions that have not ended yet. */
  sessions: z.int(),
});
export type UserView = z.infer<typeof UserView>;

/** How an attempt to tell a target ended: `delivered`, or why it did not. */
export const DeliveryOutcome = z.enum([
  "delivered",
  "status",
  "redirect",
  "timeout",
  "refused",
  "name",
  "tls",
  "network",
  "secret",
]);
export type DeliveryOutcome = z.infer<typeof DeliveryOutcome>;
export const DeliveryView = z.object({
  at: At,
  outcome: DeliveryOutcome,
  /** The receiver's HTTP status; null where there was no answer. */
  status: z.int().nullable(),
  /** In English, for programs; empty when delivered. */
  message: z.string(),
});
export type DeliveryView = z.infer<typeof DeliveryView>;

export const NotificationTargetView = z.object({
  id: z.string(),
  name: z.string(),
  kind: z.literal("webhook"),
  /** To readers who are no administrators its origin alone: the path often is a secret. */
  url: z.string(),
  topics: z.array(EventTopic),
  enabled: z.boolean(),
  hasSecret: z.boolean(),
  createdAt: At,
  createdBy: z.string(),
  /** Events that wait to be sent. */
  waiting: z.int(),
  /** Events given up, as they were too old or too many. */
  dropped: z.int(),
  last: DeliveryView.nullable(),
  /** Since when every attempt failed; null: the last one did not. */
  failingSince: At.nullable(),
  /** When it is tried next, while it fails. */
  nextAt: At.nullable(),
});
export type NotificationTargetView = z.infer<typeof NotificationTargetView>;

export const ChangeView = z.object({
  id: z.string(),
  at: At,
  author: z.string(),
  action: z.enum(["created", "updated", "deleted"]),
  objectKind: z.enum(["virtualService", "directorGroup", "node", "enrollmentToken", "apiToken", "fleet"]),
  objectId: z.string(),
  objectName: z.string(),
  generation: z.int(),
  before: z.unknown().nullable(),
  after: z.unknown().nullable(),
  /** The change that this one takes back. */
  undoOf: z.string().nullable(),
  /** The change that took this one back. */
  undoneBy: z.string().nullable(),
  /** The object still is what this change made of it, so that the change can be taken back. */
  canUndo: z.boolean(),
  /** What takes it back by itself unless it is kept in time; null for a change without. */
  guard: GuardView.nullable(),
  outcomes: z.array(
    z.object({ nodeId: z.string(), nodeName: z.string(), state: SyncState, message: z.string(), at: At.nullable() }),
  ),
});
export type ChangeView = z.infer<typeof ChangeView>;

export const AuditEventView = z.object({
  id: z.string(),
  at: At,
  actor: z.string(),
  event: z.string(),
  objectId: z.string().nullable(),
  detail: z.record(z.string(), z.unknown()),
  requestId: z.string().nullable(),
});
export type AuditEventView = z.infer<typeof AuditEventView>;

/** Something that happened: found or done by a node, or done by somebody or the controller. */
export const EventView = z.object({
  /** Unique among events. */
  id: z.string(),
  at: At,
  source: z.enum(["node", "audit"]),
  /** `drift.repaired`, `virtualService.updated` …: of nodes' events or of the audit log. */
  kind: z.string(),
  objectId: z.string().nullable(),
  /** What it is called now; null for what has no name, or is gone. */
  objectName: z.string().nullable(),
  /** Who did it; null: a node found or did it. */
  actor: z.string().nullable(),
  message: z.string(),
});
export type EventView = z.infer<typeof EventView>;

/** Live counters. Rates are per second between the two last samples; null until there are two of the same life. */
export const RateView = z.object({
  connectionsPerSecond: z.number().nullable(),
  inBytesPerSecond: z.number().nullable(),
  outBytesPerSecond: z.number().nullable(),
});
export const ServiceCountersView = z.object({
  serviceId: z.string(),
  at: At.nullable(),
  totals: Counters,
  rates: RateView,
  /** Bytes that real servers sent to clients themselves; null where no enrolled real server reports them (NAT: see outBytes). */
  replyBytes: z.number().nullable(),
  replyBytesPerSecond: z.number().nullable(),
  realServers: z.array(
    z.object({
      realServerId: z.string(),
      active: z.number(),
      inactive: z.number(),
      weight: z.number().nullable(),
      totals: Counters,
      rates: RateView,
      replyBytes: z.number().nullable(),
      replyBytesPerSecond: z.number().nullable(),
      /** While it is being drained, as its director last said; null otherwise. */
      drain: DrainReport.omit({ serviceId: true, realServerId: true }).nullable(),
      /** Whether the way that clients' packets take to it works. */
      path: PathView,
    }),
  ),
});
export type ServiceCountersView = z.infer<typeof ServiceCountersView>;

/** What all services move together. */
export const FleetCountersView = z.object({
  /** Since the services began. */
  connections: z.number(),
  rates: RateView,
  /** What real servers send to clients themselves; null: no enrolled one counts. */
  replyBytesPerSecond: z.number().nullable(),
});
export type FleetCountersView = z.infer<typeof FleetCountersView>;

/** How far back statistics look. */
export const StatisticsRange = z.enum(["1h", "24h", "30d"]);
export type StatisticsRange = z.infer<typeof StatisticsRange>;

/** One slot's points: mean rates per second, oldest first; null where nobody counted. */
const Points = z.array(z.number().nullable());

/** What a service or the fleet moved over a range; the slot number `i` begins at `from + i × stepSeconds`. */
export const StatisticsView = z.object({
  range: StatisticsRange,
  stepSeconds: z.int(),
  from: At,
  connectionsPerSecond: Points,
  inPacketsPerSecond: Points,
  /** Towards clients, whoever counted them: see `outCountedBy`. */
  outPacketsPerSecond: Points,
  inBytesPerSecond: Points,
  outBytesPerSecond: Points,
  /** DR and Tunnel replies pass the director by: their real servers count them. */
  outCountedBy: z.enum(["directors", "realServers", "both"]),
});
export type StatisticsView = z.infer<typeof StatisticsView>;

/** The last minutes of several services: bytes per second in both directions. */
export const SparklinesView = z.object({
  stepSeconds: z.int(),
  from: At,
  services: z.array(z.object({ serviceId: z.string(), bytesPerSecond: Points })),
});
export type SparklinesView = z.infer<typeof SparklinesView>;

/** What statistics take in the database. */
export const StatisticsStorageView = z.object({
  /** Table and index, as Postgres says. */
  bytes: z.int(),
  services: z.int(),
  directors: z.int(),
  /** The most that this many services and directors can ever take, and one of them alone. */
  boundBytes: z.int(),
  boundBytesEach: z.int(),
  rings: z.array(z.object({ stepSeconds: z.int(), slots: z.int() })),
});
export type StatisticsStorageView = z.infer<typeof StatisticsStorageView>;

export const OverviewView = z.object({
  services: z.object({ total: z.int(), inSync: z.int(), attention: z.int() }),
  nodes: z.object({ total: z.int(), connected: z.int() }),
  problems: z.array(
    z.object({
      kind: z.string(),
      objectId: z.string(),
      objectName: z.string(),
      message: z.string(),
      /** What the message names, for who says it in another language. */
      values: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
    }),
  ),
  fleet: z.object({ id: z.string(), epoch: z.int(), sequence: z.int(), observeOnly: z.boolean() }),
});
export type OverviewView = z.infer<typeof OverviewView>;

/** A finding about an input that is legal but unwise, with its fix. Comes with every successful write. */
export const LintFinding = z.object({
  code: z.string(),
  /** `warn`: traffic will or may fail. `info`: works, with a cost worth knowing. */
  severity: z.enum(["warn", "info"]),
  pointer: z.string(),
  detail: z.string(),
  fix: z.string().nullable(),
  meta: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
});
export type LintFinding = z.infer<typeof LintFinding>;

export const ServiceRow = z.object({
  id: z.string(),
  revision: z.int(),
  name: z.string(),
  enabled: z.boolean(),
  vip: z.string(),
  protocol: Protocol,
  port: z.int(),
  forwarding: Forwarding,
  scheduler: z.string(),
  /** `out`: kept out of service by health checks. `admitted` counts them all the same. */
  realServers: z.object({ total: z.int(), admitted: z.int(), out: z.int() }),
  /** Null when nobody checks, or nothing was said yet. */
  healthMode: HealthMode.nullable(),
  sync: Sync,
});
export type ServiceRow = z.infer<typeof ServiceRow>;
