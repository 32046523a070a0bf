import type {
  AdoptionView,
  ApiTokenCreated,
  ApiTokenSpec,
  ApiTokenView,
  AuditEventView,
  ChangePreview,
  ChangeView,
  ConnectionTableView,
  DeliveryView,
  DirectorGroupSpec,
  DirectorGroupView,
  EnrollmentTokenCreated,
  EnrollmentTokenSpec,
  EnrollmentTokenView,
  EventView,
  FieldError,
  FleetCountersView,
  ForeignServiceView,
  GateView,
  GroupMoveView,
  LintFinding,
  NodeDetailView,
  NodeUpgradeView,
  NodeView,
  NotificationTargetPatch,
  NotificationTargetSpec,
  NotificationTargetView,
  OverviewView,
  PathView,
  SearchView,
  ServiceCountersView,
  ServiceRow,
  SparklinesView,
  StatisticsRange,
  StatisticsStorageView,
  StatisticsView,
  TopologyView,
  UserPatch,
  UserSpec,
  UserView,
  VirtualServiceSpec,
  VirtualServiceView,
} from "@trigon/model";
import type { z } from "zod";
import type { Call } from "./actor.ts";
import type {
  BulkSpec,
  ChangeListInput,
  ConnectionsInput,
  DrainOptions,
  EventsInput,
  FleetView,
  ForeignDecisionInput,
  GateName,
  GroupWrite,
  Invalidation,
  ListInput,
  MaintenanceOptions,
  NodeRoles,
  Page,
  Revision,
  RowsInput,
  ServiceWrite,
  VirtualServicePatch,
  VirtualServiceWritten,
} from "./shapes.ts";

/** The use cases behind the routers. Every write is one transaction: sequence, validate, write, change and audit, NOTIFY. */
export interface Services {
  virtualServices: {
    list(input: ListInput): Promise<Page<VirtualServiceView>>;
    /** A page of what a table shows, and how many there are in all. */
    rows(input: RowsInput): Promise<{ data: ServiceRow[]; total: number }>;
    get(id: string): Promise<VirtualServiceView>;
    create(call: Call, spec: VirtualServiceSpec): Promise<VirtualServiceWritten>;
    replace(call: Call, id: string, revision: Revision, spec: VirtualServiceSpec): Promise<VirtualServiceWritten>;
    /** Creates the service of this name, or replaces it; without a revision whatever is there. */
    putByName(call: Call, name: string, revision: Revision, spec: VirtualServiceSpec): Promise<VirtualServiceWritten>;
    patch(call: Call, id: string, revision: Revision, patch: VirtualServicePatch): Promise<VirtualServiceWritten>;
    delete(call: Call, id: string, revision: Revision): Promise<void>;
    /** One thing done to many services; answers how many it changed. Throws what is wrong with each, by `/spec/ids/N`. */
    bulk(call: Call, spec: BulkSpec): Promise<{ changed: number }>;
    /** What a write would do: the same transaction, rolled back. */
    preview(call: Call, input: ServiceWrite): Promise<ChangePreview>;
    /** Checks a spec without writing it. `id` when it is an edit of an existing service. */
    validate(spec: unknown, id: string | undefined): Promise<{ errors: FieldError[]; lint: LintFinding[] }>;
  };
  releases: {
    /** Where a service was adopted, and what stands against its release; null: it was not. */
    adoption(id: string): Promise<{ data: AdoptionView | null }>;
    /** Forgets an adopted service and leaves it in the kernel. Throws `service.notAdopted`, `service.notReleasable` with the reason. */
    release(call: Call, id: string): Promise<void>;
    preview(call: Call, id: string): Promise<ChangePreview>;
  };
  directorGroups: {
    list(input: ListInput): Promise<Page<DirectorGroupView>>;
    get(id: string): Promise<DirectorGroupView>;
    create(call: Call, spec: DirectorGroupSpec): Promise<DirectorGroupView>;
    replace(call: Call, id: string, revision: Revision, spec: DirectorGroupSpec): Promise<DirectorGroupView>;
    delete(call: Call, id: string, revision: Revision): Promise<void>;
    /** What a replacement would do: the same transaction, rolled back. */
    preview(call: Call, input: GroupWrite): Promise<ChangePreview>;
    /** Takeovers that somebody asked for, the newest first. */
    moves(id: string): Promise<{ data: GroupMoveView[] }>;
    /** Has a standby take the VIPs; null: the fittest. Throws `group.notPaired`, `group.notReady` with the reason, `group.moving`. */
    move(call: Call, id: string, toNodeId: string | null): Promise<GroupMoveView>;
    /** The same there and back, measured. */
    drill(call: Call, id: string, toNodeId: string | null): Promise<GroupMoveView>;
  };
  nodes: {
    list(input: ListInput): Promise<Page<NodeView>>;
    get(id: string): Promise<NodeDetailView>;
    rename(call: Call, id: string, revision: Revision, name: string): Promise<NodeView>;
    /** The node may no longer talk; its traffic stays as it is. */
    revoke(call: Call, id: string, revision: Revision): Promise<NodeView>;
    /** The node is emptied: its plan becomes empty, and it holds nothing any more. */
    decommission(call: Call, id: string, revision: Revision): Promise<NodeView>;
    /** Nodes' programs, brought to the controller's version. */
    upgrades: {
      list(nodeId: string): Promise<{ data: NodeUpgradeView[] }>;
      /** VIPs go to a peer first, but for `moveVips` false. While one of the node is under way, that one is the answer. */
      start(call: Call, nodeId: string, options: { moveVips: boolean }): Promise<NodeUpgradeView>;
    };
  };
  /** Services in a director's table that Trigon did not make. */
  foreign: {
    list(nodeId: string): Promise<{ data: ForeignServiceView[] }>;
    decide(call: Call, input: ForeignDecisionInput): Promise<{ data: ForeignServiceView[] }>;
    /** Makes it a virtual service; the agent takes it over when it stands exactly as planned. */
    adopt(call: Call, input: { id: string; key: string; name: string }): Promise<VirtualServiceView>;
    /** What it would do, with nothing written. */
    previewAdoption(call: Call, input: { id: string; key: string; name: string }): Promise<ChangePreview>;
  };
  enrollment: {
    list(input: ListInput): Promise<Page<EnrollmentTokenView>>;
    create(call: Call, spec: EnrollmentTokenSpec): Promise<z.infer<typeof EnrollmentTokenCreated>>;
    revoke(call: Call, id: string): Promise<EnrollmentTokenView>;
  };
  adminStates: {
    drain(call: Call, serviceId: string, realServerId: string, options: DrainOptions): Promise<VirtualServiceWritten>;
    activate(call: Call, serviceId: string, realServerId: string): Promise<VirtualServiceWritten>;
    disable(call: Call, serviceId: string, realServerId: string): Promise<VirtualServiceWritten>;
    /** Puts every real server that a node is into maintenance: those that were active or draining. */
    beginMaintenance(call: Call, nodeId: string, options: MaintenanceOptions): Promise<NodeRoles>;
    /** Makes those in maintenance active again. */
    endMaintenance(call: Call, nodeId: string): Promise<NodeRoles>;
    rolesOf(nodeId: string): Promise<NodeRoles>;
  };
  gates: {
    list(serviceId: string | undefined): Promise<(GateView & { serviceId: string })[]>;
    /** Opens a gate without the real server's word: what it wants is admitted now. */
    force(call: Call, gate: GateName): Promise<GateView & { serviceId: string }>;
    /** Ends a release without the director's word: the real server may let go. */
    forget(call: Call, gate: GateName): Promise<void>;
  };
  changes: {
    list(input: ChangeListInput): Promise<Page<ChangeView>>;
    get(id: string): Promise<ChangeView>;
    /** Takes a change back by another one, which is answered. */
    undo(call: Call, id: string): Promise<ChangeView>;
    /** Ends a guard in time: the change stays. Throws `guard.absent`, and `guard.over` when it was taken back or is about to be. */
    keep(call: Call, id: string): Promise<ChangeView>;
  };
  events: { list(input: EventsInput): Promise<Page<EventView>> };
  audit: { list(input: ListInput): Promise<Page<AuditEventView>> };
  apiTokens: {
    list(input: ListInput): Promise<Page<z.infer<typeof ApiTokenView>>>;
    create(call: Call, spec: ApiTokenSpec): Promise<z.infer<typeof ApiTokenCreated>>;
    revoke(call: Call, id: string): Promise<void>;
  };
  /** People who sign in. The last administrator who can sign in stays one: `resource.inUse`. */
  users: {
    list(): Promise<{ data: UserView[] }>;
    create(call: Call, spec: UserSpec): Promise<UserView>;
    patch(call: Call, id: string, patch: UserPatch): Promise<UserView>;
    remove(call: Call, id: string): Promise<void>;
  };
  /** Who is told of events. */
  notificationTargets: {
    list(call: Call): Promise<{ data: NotificationTargetView[] }>;
    create(call: Call, spec: NotificationTargetSpec): Promise<NotificationTargetView>;
    patch(call: Call, id: string, patch: NotificationTargetPatch): Promise<NotificationTargetView>;
    remove(call: Call, id: string): Promise<void>;
    /** Sends a message at once, whether or not the target is enabled, and answers what came of it. */
    test(call: Call, id: string): Promise<DeliveryView>;
  };
  fleet: { get(): Promise<FleetView>; confirmRestore(call: Call, options: { allowMassRemoval: boolean }): Promise<FleetView> };
  overview: { get(): Promise<OverviewView> };
  topology: { get(input: { query?: string; serviceId?: string }): Promise<TopologyView> };
  /** `limit`: so many of each kind. */
  search: { find(input: { q: string; limit: number }): Promise<SearchView> };
  statistics: {
    /** Of the whole fleet. */
    fleet(range: StatisticsRange): Promise<StatisticsView>;
    service(serviceId: string, range: StatisticsRange): Promise<StatisticsView>;
    sparklines(serviceIds: readonly string[]): Promise<SparklinesView>;
    storage(): Promise<StatisticsStorageView>;
  };
  counters: {
    read(serviceIds: readonly string[] | undefined): Promise<ServiceCountersView[]>;
    fleet(): Promise<FleetCountersView>;
    /** The verdict on the real path to each real server of a service. */
    paths(serviceId: string): Promise<PathView[]>;
    /** Asks the director that holds the VIP. Throws `node.notConnected` and `node.noAnswer`. */
    connections(input: ConnectionsInput): Promise<ConnectionTableView>;
  };
  /** Invalidations of one kind of object, from `after` on; ends with the signal. */
  watch(kind: WatchKind, after: number | undefined, signal: AbortSignal): AsyncIterable<Invalidation>;
}

export type WatchKind = "virtualService" | "node" | "enrollmentToken";
