import { z } from "zod";
import { DoctorReport } from "./doctor.ts";
import { DrainMode, HealthVerdict } from "./effective-weight.ts";
import { Facts } from "./facts.ts";
import { HealthMode } from "./health.ts";
import { ArrivalReport, PathReport } from "./path.ts";
import { NodeRole, Protocol } from "./vocabulary.ts";

/** The agent protocol's version. The controller speaks this one and the one before. */
export const agentProtocol = 1;

/** Bounds that both ends keep, so that one node can neither starve nor fill the controller. */
export const reportLimits = { bytes: 4 * 1024 * 1024, tableRows: 2000, events: 200, healthRealServers: 4000 } as const;

export const FragmentState = z.object({
  id: z.string(),
  hash: z.string(),
  /** `applied`: observed in the kernel after the pass. `waiting`: held back on purpose, `reason` says why. */
  state: z.enum(["applied", "failed", "conflict", "waiting", "unsupported"]),
  reason: z.string().nullable(),
  message: z.string().nullable(),
});
export type FragmentState = z.infer<typeof FragmentState>;

/** Something the agent found or did that a person should know. */
export const AgentEvent = z.object({
  at: z.iso.datetime(),
  kind: z.enum([
    "drift.repaired",
    "drift.found",
    "vip.heldElsewhere",
    "plan.refused",
    "plan.conflict",
    "action.failed",
    "agent.started",
    "health.changed",
    "drain.over",
    "foreign.taken",
    "group.roleChanged",
  ]),
  key: z.string().nullable(),
  message: z.string(),
});
export type AgentEvent = z.infer<typeof AgentEvent>;

/** One line of "what it should hold" beside "what it holds", in ipvsadm and ip words. */
export const TableRow = z.object({
  key: z.string(),
  desired: z.string().nullable(),
  observed: z.string().nullable(),
  state: z.enum(["ok", "missing", "different", "foreign"]),
  /** A foreign service or real server as it is; left out: an older agent. */
  resource: z.record(z.string(), z.unknown()).optional(),
});
export type TableRow = z.infer<typeof TableRow>;

/** Counters since the object was made; they go back to 0 with it. Bytes and packets as numbers up to 2^53. */
export const Counters = z.object({
  connections: z.number(),
  inPackets: z.number(),
  outPackets: z.number(),
  inBytes: z.number(),
  outBytes: z.number(),
});
export type Counters = z.infer<typeof Counters>;

export const ServiceCounters = z.object({
  serviceId: z.string(),
  counters: Counters,
  destinations: z.array(
    z.object({
      realServerId: z.string(),
      active: z.number(),
      inactive: z.number(),
      persistent: z.number(),
      weight: z.number(),
      counters: Counters,
    }),
  ),
});
export type ServiceCounters = z.infer<typeof ServiceCounters>;

/** What a real server itself sent from the VIP: a director sees no reply in DR and Tunnel. */
export const ReplyCounters = z.object({ serviceId: z.string(), packets: z.number(), bytes: z.number() });
export type ReplyCounters = z.infer<typeof ReplyCounters>;

/** What a director's checks say of one real server in a service. */
export const RealServerHealth = z.object({
  realServerId: z.string(),
  verdict: HealthVerdict,
  /** Whether checks keep it out of service now: one that failed may serve all the same (fail-open, the cap). */
  isOut: z.boolean(),
  /** Of the last probe, when it failed: a closed code and a sentence. */
  reason: z.string().nullable(),
  message: z.string().nullable(),
  /** Of the last probe that passed. */
  latencyMs: z.number().nullable(),
  /** When the verdict came to be. */
  since: z.iso.datetime(),
});
export type RealServerHealth = z.infer<typeof RealServerHealth>;

/** `fragmentId` is that of the director's fragment. */
export const HealthReport = z.object({ fragmentId: z.string(), mode: HealthMode, realServers: z.array(RealServerHealth) });
export type HealthReport = z.infer<typeof HealthReport>;

export const GroupRole = z.enum(["master", "backup", "fault", "unknown"]);
export type GroupRole = z.infer<typeof GroupRole>;

/** Something about a member that a person should know: a closed code, and a sentence. */
export const GroupFinding = z.object({
  code: z.string(),
  message: z.string(),
  meta: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
});
export type GroupFinding = z.infer<typeof GroupFinding>;

/** What a director says of its part in a group in mode `vrrp`. Times are of its own clock. */
export const GroupReport = z.object({
  groupId: z.string(),
  role: GroupRole,
  since: z.iso.datetime(),
  /** Its last changes of role, the oldest first. */
  transitions: z.array(z.object({ at: z.iso.datetime(), role: GroupRole })).max(20),
  /** Daemons that the kernel runs to carry connections to the peers. */
  syncDaemons: z.array(z.object({ state: z.enum(["master", "backup"]), interface: z.string(), syncId: z.int() })),
  /** Whether it would take the VIPs now: its table is as planned and it can serve. */
  isReady: z.boolean(),
  /** Of the last wish `preferred` that it carried out or found carried out; null: none. */
  preferredGeneration: z.int().nullable(),
  findings: z.array(GroupFinding).max(50),
});
export type GroupReport = z.infer<typeof GroupReport>;

/** Reports are ordered by (bootId, runId, pass): `runId` starts with the agent's start time, `pass` counts up within a run. */
export const AgentReport = z.object({
  protocol: z.int(),
  agentVersion: z.string(),
  fleetId: z.string(),
  epoch: z.int(),
  generation: z.int(),
  bootId: z.string(),
  runId: z.string(),
  pass: z.int().min(0),
  at: z.iso.datetime(),
  /** Left out when unchanged since the last accepted report of this run. */
  facts: Facts.optional(),
  /** `full`: every fragment. Else only those whose state changed since the last accepted report, and `gone` those that are no more. */
  full: z.boolean(),
  fragments: z.array(FragmentState),
  gone: z.array(z.string()),
  table: z.object({ rows: z.array(TableRow), total: z.int() }).optional(),
  /** Services whose health reads differently since the last accepted report; all of them when `full`. */
  health: z.array(HealthReport).optional(),
  /** Its part in groups in mode `vrrp`, all of them; left out when unchanged since the last accepted report of this run. */
  groups: z.array(GroupReport).optional(),
  events: z.array(AgentEvent),
  /** What doctor found; left out when nothing changed since the last accepted report of this run. */
  doctor: DoctorReport.optional(),
});
export type AgentReport = z.infer<typeof AgentReport>;

export const ReportAnswer = z.object({
  accepted: z.boolean(),
  wantFull: z.boolean(),
  /** What operators decided about foreign services, by resource key; told until the decision is taken back. */
  foreign: z.object({ adopt: z.array(z.string()), remove: z.array(z.string()) }).optional(),
});
export type ReportAnswer = z.infer<typeof ReportAnswer>;

/** A connection that holds a drain up. */
export const PinnedConnection = z.object({
  protocol: Protocol,
  client: z.string(),
  clientPort: z.int(),
  /** Without a packet for so long, as far as was watched. */
  idleSeconds: z.number(),
  /** The kernel forgets it then, if no packet comes. */
  expiresInSeconds: z.number(),
});
export type PinnedConnection = z.infer<typeof PinnedConnection>;

/** How far the drain of a real server is, at one director. */
export const DrainReport = z.object({
  serviceId: z.string(),
  realServerId: z.string(),
  mode: DrainMode,
  /** The deadline. */
  until: z.iso.datetime().nullable(),
  /** Since when this agent follows it. */
  since: z.iso.datetime(),
  active: z.number(),
  inactive: z.number(),
  /** Templates: clients that persistence pins. */
  persistent: z.number(),
  /** What the drain waits for, of all these. */
  left: z.number(),
  /** From the decay observed so far; null: nothing is seen to decay. */
  etaSeconds: z.number().nullable(),
  /** `drained`: nothing is left, but it stays at weight 0. `out`: no longer in the kernel's table. */
  state: z.enum(["draining", "drained", "out"]),
  /** Some of those that will not end soon: UDP entries, and long idle TCP connections. */
  pinned: z.array(PinnedConnection),
});
export type DrainReport = z.infer<typeof DrainReport>;

/** Sent every few seconds apart from reports: counters never wake anything. */
export const AgentCounters = z.object({
  protocol: z.int(),
  bootId: z.string(),
  runId: z.string(),
  at: z.iso.datetime(),
  services: z.array(ServiceCounters),
  replies: z.array(ReplyCounters),
  /** Left out: nobody drains, or an older agent. */
  drains: z.array(DrainReport).optional(),
  /** What a director's probes of real paths came to; left out: it makes none. */
  paths: z.array(PathReport).optional(),
  /** What a real server saw of such probes. */
  arrivals: z.array(ArrivalReport).optional(),
});
export type AgentCounters = z.infer<typeof AgentCounters>;

/** Events of `GET /agent/v1/stream` (server-sent events). `plan` says only that something newer is there. */
export const StreamEvent = z.discriminatedUnion("type", [
  z.object({ type: z.literal("plan"), generation: z.int() }),
  z.object({ type: z.literal("hint"), hint: z.enum(["reportNow", "renew"]) }),
  /** A real server says that something about this service's listener changed: look at once. */
  z.object({ type: z.literal("probe"), serviceId: z.string() }),
  /** Somebody looks at figures for so many seconds from now, or longer if it is said again: counters are sent more often. */
  z.object({ type: z.literal("watch"), seconds: z.number().positive().max(60) }),
  /** Answered by `POST /agent/v1/answer`. Left unparsed: one that this agent does not know is answered as such. */
  z.object({ type: z.literal("ask"), id: z.string(), question: z.unknown() }),
]);
export type StreamEvent = z.infer<typeof StreamEvent>;

/** `POST /agent/v1/hint`: listeners for these services came or went on a real server. */
export const AgentHint = z.object({ protocol: z.int(), serviceIds: z.array(z.string()).max(1_000) });
export type AgentHint = z.infer<typeof AgentHint>;

/** `POST /enroll/v1/nodes`, the only call made with a token instead of a certificate. */
export const EnrollRequest = z.object({
  protocol: z.int(),
  token: z.string().min(8).max(512),
  csr: z.string().max(8192),
  agentVersion: z.string().max(64),
  facts: Facts,
});
export type EnrollRequest = z.infer<typeof EnrollRequest>;

export const EnrollAnswer = z.object({
  fleetId: z.string(),
  nodeId: z.string(),
  name: z.string(),
  /** A controller of an earlier version does not say. */
  role: NodeRole.optional(),
  certificate: z.string(),
  ca: z.string(),
  agentUrl: z.string(),
  consoleUrl: z.string(),
});
export type EnrollAnswer = z.infer<typeof EnrollAnswer>;

/** `POST /agent/v1/renew`: a new certificate for the same node over the old one's connection. */
export const RenewRequest = z.object({ csr: z.string().max(8192) });
export const RenewAnswer = z.object({ certificate: z.string(), ca: z.string() });

/** Paths of the agent protocol, all under the mTLS listener but the enrollment ones. */
export const agentPaths = {
  stream: "/agent/v1/stream",
  plan: "/agent/v1/plan",
  report: "/agent/v1/report",
  counters: "/agent/v1/counters",
  hint: "/agent/v1/hint",
  answer: "/agent/v1/answer",
  renew: "/agent/v1/renew",
  enroll: "/enroll/v1/nodes",
} as const;
