import { DomainError } from "@trigon/model";
import {
  type Fleet,
  type FleetGroup,
  type FleetNode,
  type FleetService,
  type FleetVrrp,
  fleetOf,
  membersOf,
  type ServicePlanInput,
  vipsOf,
} from "@trigon/planner";
import type { FleetRows, StoredFleet, StoredGroup, StoredNode, StoredService, StoredVip } from "./fleet-rows.ts";

/**
 * The configuration in memory, with what planning looks up. It holds nothing that the database does not, and may be thrown away and read
 * again at any time. Rows are never changed in place: a draft shares them with the original.
 */
export class FleetState {
  fleet: StoredFleet | undefined;
  readonly groups: Map<string, StoredGroup>;
  readonly nodes: Map<string, StoredNode>;
  readonly vips: Map<string, StoredVip>;
  readonly services: Map<string, StoredService>;
  #index: Fleet | undefined;
  readonly #fullNat: Map<string, boolean>;

  constructor(from?: FleetState) {
    this.fleet = from?.fleet;
    this.groups = new Map(from?.groups);
    this.nodes = new Map(from?.nodes);
    this.vips = new Map(from?.vips);
    this.services = new Map(from?.services);
    this.#fullNat = new Map(from ? from.#fullNat : []);
    if (from) this.#index = from.#index;
  }

  get sequence(): number {
    return this.fleet?.sequence ?? -1;
  }

  get current(): StoredFleet {
    if (!this.fleet) throw new DomainError("service.unavailable", "The fleet was not read yet; try again.");
    return this.fleet;
  }

  /** Takes newer rows in. */
  apply(rows: FleetRows): void {
    this.fleet = rows.fleet;
    for (const group of rows.groups) this.groups.set(group.id, group);
    for (const node of rows.nodes) this.putNode(node);
    for (const vip of rows.vips) this.vips.set(vip.address, vip);
    for (const service of rows.services) this.putService(service);
  }

  putNode(node: StoredNode): void {
    this.nodes.set(node.id, node);
    this.#index = undefined;
  }

  putService(service: StoredService): void {
    const before = this.services.get(service.id);
    this.services.set(service.id, service);
    if (!before || doesFullNat(before) !== doesFullNat(service) || before.spec.directorGroupId !== service.spec.directorGroupId) {
      this.#fullNat.clear();
    }
  }

  liveGroups(): StoredGroup[] {
    return [...this.groups.values()].filter((group) => group.deletedAt === null);
  }

  liveServices(): StoredService[] {
    return [...this.services.values()].filter((service) => service.deletedAt === null);
  }

  /** Throws `resource.notFound` for one that never was or is gone. */
  service(id: string): StoredService {
    const service = this.services.get(id);
    if (!service || service.deletedAt) throw new DomainError("resource.notFound", `There is no virtual service ${id}.`);
    return service;
  }

  group(id: string): StoredGroup {
    const group = this.groups.get(id);
    if (!group || group.deletedAt) throw new DomainError("resource.notFound", `There is no director group ${id}.`);
    return group;
  }

  node(id: string): StoredNode {
    const node = this.nodes.get(id);
    if (!node) throw new DomainError("resource.notFound", `There is no node ${id}.`);
    return node;
  }

  /** The directors that were enrolled into a group. */
  homeMembers(groupId: string): StoredNode[] {
    return [...this.nodes.values()].filter((node) => node.directorGroupId === groupId && node.role === "director");
  }

  /** A group's directors: its own, those of other groups that it names, and who has not let go of it yet. */
  members(groupId: string): StoredNode[] {
    const group = this.groups.get(groupId);
    const ids = new Set(group && memberIdsOf(group));
    if (ids.size === 0) return this.homeMembers(groupId);
    return [...this.nodes.values()].filter(
      (node) => node.role === "director" && (node.directorGroupId === groupId || ids.has(node.id)),
    );
  }

  /** The groups that a director is a member of. */
  groupsOf({ id, directorGroupId }: Pick<StoredNode, "id" | "directorGroupId">): StoredGroup[] {
    return this.liveGroups().filter((group) => group.id === directorGroupId || memberIdsOf(group).includes(id));
  }

  /** The planner's look-ups. */
  get index(): Fleet {
    this.#index ??= fleetOf(this.nodes.values() as Iterable<FleetNode>);
    return this.#index;
  }

  /** A group as planning sees it. */
  fleetGroup(group: StoredGroup): FleetGroup {
    // Most groups are in mode single, and each service's plan asks.
    return fleetGroupOf(group, group.mode === "vrrp" || group.joined.length > 0 ? this.homeMembers(group.id) : []);
  }

  /** The addresses that a group owns now. */
  groupVips(groupId: string): string[] {
    return [...this.vips.values()].flatMap(({ address, directorGroupId, deletedAt }) =>
      directorGroupId === groupId && deletedAt === null ? [address] : [],
    );
  }

  /** What the planner needs for one service; undefined while its group is unknown. */
  planInput(service: StoredService): ServicePlanInput | undefined {
    const group = this.groups.get(service.spec.directorGroupId);
    if (!group) return undefined;
    return {
      service: fleetServiceOf(service),
      gates: service.gates,
      group: this.fleetGroup(group),
      groupHasFullNat: this.sharesFullNat(group),
      fleet: this.index,
    };
  }

  /** Whether any enabled service of the group does full NAT, for itself or one of its real servers. */
  hasFullNat(groupId: string): boolean {
    const known = this.#fullNat.get(groupId);
    if (known !== undefined) return known;
    let has = false;
    for (const service of this.services.values()) has ||= service.spec.directorGroupId === groupId && doesFullNat(service);
    this.#fullNat.set(groupId, has);
    return has;
  }

  /** Whether a director of the group may do full NAT, for it or for another group: netfilter tracks for the whole machine. */
  sharesFullNat(group: StoredGroup): boolean {
    if (this.hasFullNat(group.id)) return true;
    const groups = this.liveGroups();
    if (groups.every((one) => memberIdsOf(one).length === 0)) return false;
    return groups.some((other) => other.id !== group.id && this.hasFullNat(other.id) && this.#shareDirectors(group, other));
  }

  #shareDirectors(a: StoredGroup, b: StoredGroup): boolean {
    const ids = new Set(this.members(a.id).map(({ id }) => id));
    return this.members(b.id).some(({ id }) => ids.has(id));
  }

  /** The VIPs that this service needs on its group's director. */
  vipsOf(service: StoredService): string[] {
    const input = this.planInput(service);
    return input ? vipsOf(input) : [];
  }
}

/** Directors that a group names, or that take part in it still, whatever group they were enrolled into. */
const memberIdsOf = ({ vrrp, joined, leaving }: StoredGroup): string[] => [
  ...vrrp.members.map(({ nodeId }) => nodeId),
  ...joined,
  ...leaving.map(({ nodeId }) => nodeId),
];

function doesFullNat({ deletedAt, spec }: StoredService): boolean {
  if (deletedAt !== null || !spec.enabled) return false;
  return spec.forwarding === "fullnat" || spec.realServers.some(({ forwarding }) => forwarding === "fullnat");
}

export function fleetServiceOf({ id, sequence, deletedAt, spec }: StoredService): FleetService {
  return { id, sequence, deleted: deletedAt !== null, spec };
}

/** A group as planning sees it. `members`: the directors that were enrolled into it, who take part where it names none. */
export function fleetGroupOf(group: StoredGroup, members: readonly StoredNode[]): FleetGroup {
  const { id, activeNodeId, floatingAddresses, ping, manageFirewall, releasingNodeId, releasingSequence } = group;
  return {
    id,
    activeNodeId,
    ping,
    manageFirewall,
    floatingAddresses,
    releasing:
      releasingNodeId === null || releasingSequence === null ? null : { nodeId: releasingNodeId, sequence: releasingSequence },
    vrrp: vrrpOf(group, members),
  };
}

function vrrpOf(group: StoredGroup, members: readonly StoredNode[]): FleetVrrp | null {
  const { name, mode, vrrp: spec, virtualRouterId, joined, leaving, preferredNodeId, preferredSequence } = group;
  const isWanted = mode === "vrrp" && group.deletedAt === null;
  if (virtualRouterId === null || (!isWanted && joined.length + leaving.length === 0)) return null;
  const preferred =
    preferredNodeId === null || preferredSequence === null ? null : { nodeId: preferredNodeId, generation: preferredSequence };
  return {
    isWanted,
    name,
    spec,
    virtualRouterId,
    members: membersOf(spec, members),
    joined,
    leaving,
    preferred,
    joinedSequence: group.joinedSequence ?? 0,
  };
}
