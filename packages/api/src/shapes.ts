import {
  AdminState,
  ApiTokenCreated,
  ApiTokenView,
  AuditEventView,
  ChangeView,
  ConnectionSortField,
  canonicalAddress,
  DirectorGroupSpec,
  DirectorGroupView,
  DrainMode,
  DrainSpec,
  EnrollmentTokenCreated,
  EnrollmentTokenView,
  EventTopic,
  EventView,
  Forwarding,
  GateView,
  GroupMoveView,
  GuardState,
  HealthSpec,
  Id,
  LintFinding,
  Name,
  Network,
  NodeView,
  NotificationTargetView,
  PathView,
  RealServerSpec,
  Scope,
  ServiceCountersView,
  ServiceRow,
  SyncState,
  UserView,
  VirtualServiceSpec,
  VirtualServiceView,
} from "@trigon/model";
import { z } from "zod";

/** Input of every list: `cursor` is opaque and comes from the page before; `query` is free text. */
export const ListInput = z.strictObject({
  limit: z.int().min(1).max(1000).default(100),
  cursor: z.string().max(512).optional(),
  query: z.string().max(200).optional(),
});
export type ListInput = z.infer<typeof ListInput>;

/** What rows of services are ordered by: `state` by how bad it is, `connections` by new ones a second. */
export const RowOrder = z.enum(["name", "address", "forwarding", "admitted", "connections", "state"]);
export type RowOrder = z.infer<typeof RowOrder>;

/** `forwarding`, `state`: only services so forwarded, or in this state of sync. */
export const RowsInput = z.strictObject({
  query: z.string().max(200).optional(),
  forwarding: Forwarding.optional(),
  state: SyncState.optional(),
  order: RowOrder.default("name"),
  descending: z.boolean().default(false),
  offset: z.int().min(0).default(0),
  limit: z.int().min(1).max(1000).default(100),
});
export type RowsInput = z.infer<typeof RowsInput>;

/** One thing done to many services in one change of the fleet: to all of them, or to none. */
export const BulkSpec = z.strictObject({
  action: z.enum(["switchOn", "switchOff", "drain", "activate", "delete"]),
  ids: z.array(Id).min(1).max(1000),
});
export type BulkSpec = z.infer<typeof BulkSpec>;

/** `guard`: only changes whose guard is in this state. */
export const ChangeListInput = ListInput.extend({ guard: GuardState.optional() });
export type ChangeListInput = z.infer<typeof ChangeListInput>;

export interface Page<T> {
  data: T[];
  nextCursor: string | null;
}
const page = <T extends z.ZodType>(item: T) => z.object({ data: z.array(item), nextCursor: z.string().nullable() });

/** `object`: a service, node or group by its id. `cursor`: the moment that the page before ended with. */
export const EventsInput = z.strictObject({
  topic: EventTopic.optional(),
  object: Id.optional(),
  cursor: z.iso.datetime().optional(),
  limit: z.int().min(1).max(500).default(100),
});
export type EventsInput = z.infer<typeof EventsInput>;

const sortText = /^-?(client|realServer|state|expires)$/;

/** A real server as people write it: its address, with or without a port (`10.0.0.21:80`, `[2001:db8::21]:80`). */
const RealServerText = z.string().transform((text, ctx) => {
  const bare = canonicalAddress(text);
  if (bare !== undefined) return { rip: bare };
  const [, bracketed, plain, port] = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const rip = canonicalAddress(bracketed ?? plain ?? "");
  if (rip !== undefined && Number(port) <= 65_535) return { rip, port: Number(port) };
  ctx.addIssue({ code: "custom", message: `"${text}" is no address, nor address:port`, params: { code: "address.invalid" } });
  return z.NEVER;
});

/** `client`: an address or a network. `sort`: `client`, `realServer`, `state` or `expires`; with `-` before it the greatest first. */
export const ConnectionsInput = z.strictObject({
  id: Id,
  client: Network.optional(),
  realServer: RealServerText.optional(),
  state: z.string().max(32).optional(),
  templates: z.boolean().optional(),
  sort: z
    .string()
    .regex(sortText, "one of client, realServer, state, expires; with - before it the greatest first")
    .default("client")
    .transform((text) => ({
      field: ConnectionSortField.parse(text.replace(/^-/, "")),
      descending: text.startsWith("-"),
    })),
  limit: z.int().min(1).max(1000).default(200),
});
export type ConnectionsInput = z.infer<typeof ConnectionsInput>;

/** `null` takes an earlier decision back. */
export const ForeignDecisionInput = z.strictObject({
  id: Id,
  key: z.string().max(256),
  decision: z.enum(["ignore", "remove"]).nullable(),
});
export type ForeignDecisionInput = z.infer<typeof ForeignDecisionInput>;

export const ById = z.strictObject({ id: Id });

/** The revision a write is based on: a number, or `*` for whatever is there. Left out it is refused with `revision.required`. */
export const Revision = z.union([z.int(), z.literal("*")]).optional();
export type Revision = z.infer<typeof Revision>;

/**
 * RFC 7396 merge patch of a virtual service: fields left out stay, those of `health` too; `realServers` and a check are replaced whole. No
 * defaults are filled in.
 */
export const VirtualServicePatch = z.strictObject({
  ...allOptional(VirtualServiceSpec.shape),
  health: z.strictObject(allOptional(HealthSpec.shape)).optional(),
}) as unknown as z.ZodType<Partial<Omit<VirtualServiceSpec, "health">> & { health?: Partial<HealthSpec> }>;

export type VirtualServicePatch = z.infer<typeof VirtualServicePatch>;

function allOptional(shape: Record<string, z.ZodType>): Record<string, z.ZodType> {
  return Object.fromEntries(Object.entries(shape).map(([key, schema]) => [key, withoutDefault(schema).optional()]));
}

function withoutDefault(schema: z.ZodType): z.ZodType {
  return schema instanceof z.ZodDefault ? (schema.unwrap() as z.ZodType) : schema;
}

/** What a write of a virtual service answers: the view and what is legal but unwise about it. */
export const VirtualServiceWritten = VirtualServiceView.extend({ lint: z.array(LintFinding) });
export type VirtualServiceWritten = z.infer<typeof VirtualServiceWritten>;

/** A write of a virtual service, whatever it is: what a preview rehearses. */
export const ServiceWrite = z.discriminatedUnion("action", [
  z.strictObject({ action: z.literal("create"), spec: VirtualServiceSpec }),
  z.strictObject({ action: z.literal("replace"), id: Id, revision: Revision, spec: VirtualServiceSpec }),
  z.strictObject({
    action: z.literal("putByName"),
    name: Name,
    revision: Revision,
    spec: VirtualServiceSpec.partial({ name: true }),
  }),
  z.strictObject({ action: z.literal("patch"), id: Id, revision: Revision, spec: VirtualServicePatch }),
  z.strictObject({ action: z.literal("delete"), id: Id, revision: Revision }),
  z.strictObject({ action: z.literal("release"), id: Id }),
  z.strictObject({ action: z.literal("bulk"), spec: BulkSpec }),
]);
type ServiceWriteInput = z.infer<typeof ServiceWrite>;
export type ServiceWrite =
  | Exclude<ServiceWriteInput, { action: "putByName" | "release" }>
  | { action: "putByName"; name: string; revision?: Revision; spec: VirtualServiceSpec };

/** A write of a director group that can be rehearsed. */
export const GroupWrite = z.discriminatedUnion("action", [
  z.strictObject({ action: z.literal("create"), spec: DirectorGroupSpec }),
  z.strictObject({ action: z.literal("replace"), id: Id, revision: Revision, spec: DirectorGroupSpec }),
]);
export type GroupWrite = z.infer<typeof GroupWrite>;

export const FieldErrorShape = z.object({
  pointer: z.string(),
  code: z.string(),
  detail: z.string(),
  meta: z.record(z.string(), z.union([z.string(), z.number()])).optional(),
});

/** How to drain. The deadline counts from now; without one it lasts as long as connections do. */
const DrainInput = z.strictObject({
  mode: DrainMode.default("activeConnections"),
  deadlineSeconds: z.int().min(0).max(2678400).nullable().default(null),
});
/** `maintenance`: taken out of the table once drained. */
export const DrainOptions = DrainInput.extend({ maintenance: z.boolean().default(false) });
export type DrainOptions = z.infer<typeof DrainOptions>;
export const MaintenanceOptions = DrainInput;
export type MaintenanceOptions = z.infer<typeof MaintenanceOptions>;

/** What a node is in each service. */
export const NodeRoles = z.object({
  data: z.array(
    z.object({
      serviceId: z.string(),
      serviceName: z.string(),
      realServerId: z.string(),
      rip: z.string(),
      adminState: AdminState,
      drain: DrainSpec.nullable(),
    }),
  ),
});
export type NodeRoles = z.infer<typeof NodeRoles>;

/** Says that something changed; `ids` null means anything may have. */
export interface Invalidation {
  sequence: number;
  ids: string[] | null;
}

export const Me = z.object({ kind: z.enum(["user", "token"]), name: z.string(), scopes: z.array(Scope) });

export const FleetView = z.object({
  id: z.string(),
  epoch: z.int(),
  sequence: z.int(),
  observeOnly: z.boolean(),
  allowMassRemovalUntil: z.iso.datetime().nullable(),
  /** The highest generation any agent reported that this database does not know; null when none is ahead. */
  highestReported: z.int().nullable(),
});
export type FleetView = z.infer<typeof FleetView>;

/** Names one gate. */
export const GateName = z.strictObject({ id: Id, realServerId: Id, directorNodeId: Id });
export type GateName = z.infer<typeof GateName>;

export const GateListInput = z.strictObject({ serviceId: Id.optional() });

export const Pages = {
  virtualServices: page(VirtualServiceView),
  events: z.object({ data: z.array(EventView), nextCursor: z.string().nullable() }),
  serviceRows: z.object({ data: z.array(ServiceRow), total: z.int() }),
  directorGroups: page(DirectorGroupView),
  groupMoves: z.object({ data: z.array(GroupMoveView) }),
  nodes: page(NodeView),
  enrollmentTokens: page(EnrollmentTokenView),
  apiTokens: page(ApiTokenView),
  users: z.object({ data: z.array(UserView) }),
  notificationTargets: z.object({ data: z.array(NotificationTargetView) }),
  changes: page(ChangeView),
  auditEvents: page(AuditEventView),
  gates: z.object({ data: z.array(GateView.extend({ serviceId: z.string() })) }),
  counters: z.object({ data: z.array(ServiceCountersView) }),
  paths: z.object({ data: z.array(PathView) }),
};

export { ApiTokenCreated, EnrollmentTokenCreated, RealServerSpec };
