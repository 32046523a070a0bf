import { type DirectorGroupFragment, type Family, familyOf, fragmentId, type VrrpSpec } from "@trigon/model";
import type { Fleet, FleetGroup, FleetNode, FleetVrrp, NodeReport } from "./fleet.ts";
import { stamp } from "./hash.ts";
import { mainAddress, sourceToward } from "./network.ts";

/** A member that directs now: a quarantined one cannot be told otherwise, and goes on. */
export function isDirecting(node: FleetNode | undefined): node is FleetNode {
  return node !== undefined && (node.state === "active" || node.state === "quarantined");
}

/** The members that a group's spec means, the highest priority first: named ones, or every director, the earliest enrolled first. */
export function membersOf(
  spec: Pick<VrrpSpec, "members">,
  directors: readonly Pick<FleetNode, "id" | "index" | "state">[],
): { nodeId: string; priority: number }[] {
  if (spec.members.length > 0) return spec.members.toSorted((a, b) => b.priority - a.priority);
  return directors
    .filter(({ state }) => state !== "decommissioned")
    .toSorted((a, b) => a.index - b.index)
    .map(({ id }, position) => ({ nodeId: id, priority: Math.max(1, firstPriority - priorityStep * position) }));
}

/** Room above and below, so that a member can be put before or after others. */
const firstPriority = 200;
const priorityStep = 10;
/** Of a member that no list names: one that takes the VIPs while its group leaves VRRP. */
const guestPriority = 100;

/** The members that shall hold a group's services: in mode `vrrp` all of them, so that whoever takes the VIPs is ready to serve. */
export function servingMembers({ activeNodeId, vrrp }: FleetGroup): string[] {
  const active = activeNodeId === null ? [] : [activeNodeId];
  if (!vrrp) return active;
  return [...new Set([...(vrrp.isWanted ? vrrp.members.map(({ nodeId }) => nodeId) : active), ...vrrp.joined])];
}

export interface GroupPlanInput {
  group: FleetGroup;
  /** All VIPs of the group. */
  vips: readonly string[];
  /** The change that last touched the group. */
  generation: number;
  fleet: Fleet;
}

/** What each member that takes part must know of its group; empty in mode `single`. Pure. */
export function planGroup({ group, vips, generation, fleet }: GroupPlanInput): Map<string, DirectorGroupFragment> {
  const { vrrp } = group;
  const plan = new Map<string, DirectorGroupFragment>();
  if (!vrrp || vrrp.joined.length === 0) return plan;
  const { spec, name, virtualRouterId } = vrrp;
  const families = familiesOf(vips);
  // Members speak where the VIPs are; a gateway may be on another link.
  const isFloating = (address: string) => group.floatingAddresses.includes(address);
  const mainFirst = vips.toSorted((a, b) => Number(isFloating(a)) - Number(isFloating(b)));
  // Who is about to let go still speaks, and must be heard.
  const speaking = [...new Set([...vrrp.joined, ...vrrp.leaving.map(({ nodeId }) => nodeId)])].flatMap(
    (id) => fleet.node(id) ?? [],
  );
  const peers = speaking
    .map((node) => ({
      nodeId: node.id,
      name: node.name,
      priority: priorityOf(vrrp, node.id),
      addresses: speakingAddresses(node, spec.interface, mainFirst, families),
    }))
    .toSorted((a, b) => b.priority - a.priority || (a.nodeId < b.nodeId ? -1 : 1));
  for (const { nodeId, priority, addresses } of peers) {
    if (!vrrp.joined.includes(nodeId) || !isDirecting(fleet.node(nodeId))) continue;
    const content = {
      id: fragmentId.directorGroup(group.id),
      kind: "director.group",
      groupId: group.id,
      name,
      virtualRouterId,
      priority,
      preempt: spec.preempt,
      advertMs: spec.advertMs,
      interface: spec.interface,
      peers: spec.peers,
      addresses,
      others: peers.filter((peer) => peer.nodeId !== nodeId),
      vips: vips.toSorted(),
      preferred: vrrp.preferred,
    } as const;
    plan.set(nodeId, stamp(content, generation));
  }
  return plan;
}

const priorityOf = ({ members }: FleetVrrp, nodeId: string): number =>
  members.find((member) => member.nodeId === nodeId)?.priority ?? guestPriority;

function familiesOf(vips: readonly string[]): Family[] {
  const families = new Set(vips.map(familyOf));
  return families.size === 0 ? [4] : [...families].toSorted((a, b) => a - b);
}

/** Where a member speaks from, one address of each family in use; none where its facts tell none. */
function speakingAddresses(
  { facts }: FleetNode,
  interfaceName: string | null,
  vips: readonly string[],
  families: readonly Family[],
): string[] {
  if (!facts) return [];
  return families.flatMap((family) => {
    if (interfaceName !== null) {
      const leg = facts.interfaces.find(({ name }) => name === interfaceName);
      return leg?.addresses.find(({ address }) => familyOf(address) === family && !vips.includes(address))?.address ?? [];
    }
    const vip = vips.find((one) => familyOf(one) === family);
    return (vip && sourceToward(vip, withoutVips(facts, vips))?.address) ?? mainAddress(withoutVips(facts, vips), family) ?? [];
  });
}

type Facts = NonNullable<FleetNode["facts"]>;

/** What moves is nobody's own address, whoever holds it while facts are told. */
function withoutVips(facts: Facts, vips: readonly string[]): Facts {
  const interfaces = facts.interfaces.map((leg) => ({
    ...leg,
    addresses: leg.addresses.filter(({ address }) => !vips.includes(address)),
  }));
  return { ...facts, interfaces };
}

export interface GroupStepInput {
  group: FleetGroup;
  vips: readonly string[];
  fleet: Fleet;
  report: (nodeId: string) => NodeReport | undefined;
  /** The sequence of the write that stores the answer. */
  sequence: number;
}

/**
 * How members join and leave VRRP from here, so that VIPs in service are never held by two nor by none. Into it: the holder first, the
 * others when it says that it is master. Out of it: the VIPs go to the member that shall hold them (whoever stores the group makes it
 * `preferred`), then the others leave, and when they have let go it holds them without VRRP. Pure and idempotent; null when nothing changes.
 */
export function groupStep(input: GroupStepInput): Pick<FleetVrrp, "joined" | "leaving"> | null {
  const { group, fleet, report, sequence } = input;
  const { vrrp } = group;
  if (!vrrp) return null;
  const joined = nextJoined(input, vrrp);
  const gone = vrrp.joined.filter((id) => !joined.includes(id) && !staysAlone(input, vrrp, joined, id));
  const leaving = [
    ...vrrp.leaving.filter(({ nodeId }) => !joined.includes(nodeId)),
    ...gone.map((nodeId) => ({ nodeId, sequence })),
  ].filter((one) => !hasLeft(one, group.id, fleet, report));
  const isSame =
    canonicalList(joined) === canonicalList(vrrp.joined) && leaving.length === vrrp.leaving.length && gone.length === 0;
  return isSame ? null : { joined, leaving };
}

/** The one that goes on to hold the VIPs without VRRP has nothing to let go of. */
function staysAlone({ group }: GroupStepInput, { isWanted }: FleetVrrp, joined: readonly string[], nodeId: string): boolean {
  return !isWanted && joined.length === 0 && nodeId === group.activeNodeId;
}

function nextJoined({ group, vips, fleet, report }: GroupStepInput, vrrp: FleetVrrp): readonly string[] {
  // A revoked member cannot be told anything and goes on: the others must go on hearing it.
  const isThere = (id: string) => ![undefined, "decommissioned"].includes(fleet.node(id)?.state);
  const isMaster = (id: string) => {
    const said = report(id);
    return said !== undefined && said.generation >= vrrp.joinedSequence && said.groups?.get(group.id)?.role === "master";
  };
  const { activeNodeId } = group;
  const holder = activeNodeId !== null && isDirecting(fleet.node(activeNodeId)) ? activeNodeId : null;
  if (vrrp.isWanted) {
    const wanted = vrrp.members.map(({ nodeId }) => nodeId).filter(isThere);
    const joined = vrrp.joined.filter((id) => wanted.includes(id));
    if (group.releasing !== null && vips.length > 0) return joined;
    const isSafe = vips.length === 0 || holder === null || !wanted.includes(holder) || joined.some(isMaster);
    if (isSafe) return wanted;
    return joined.length > 0 ? joined : [holder];
  }
  const joined = vrrp.joined.filter(isThere);
  if (joined.length === 0 || vips.length === 0) return [];
  if (holder === null) return joined;
  // Before somebody is master by VRRP a newcomer would hear nobody, and take VIPs that another still holds without it.
  if (!joined.includes(holder)) return joined.some(isMaster) ? [...joined, holder] : joined;
  if (!isMaster(holder)) return joined;
  return joined.length === 1 && vrrp.leaving.length === 0 ? [] : [holder];
}

/** Whether a member has said, after it was told to leave, that it takes part no more. */
function hasLeft(
  { nodeId, sequence }: { nodeId: string; sequence: number },
  groupId: string,
  fleet: Fleet,
  report: GroupStepInput["report"],
): boolean {
  const node = fleet.node(nodeId);
  if (!node || node.state === "revoked") return true;
  const said = report(nodeId);
  return said !== undefined && said.generation >= sequence && !said.fragments.has(fragmentId.directorGroup(groupId));
}

const canonicalList = (ids: readonly string[]): string => ids.toSorted().join(" ");
