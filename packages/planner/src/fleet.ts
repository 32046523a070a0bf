import type {
  Encapsulation,
  Facts,
  Forwarding,
  FragmentState,
  GroupReport,
  NodeRole,
  Protocol,
  RealServerSpec,
  VirtualServiceSpec,
  VrrpSpec,
} from "@trigon/model";

/** The fleet's rows, as far as planning needs them. Whoever stores them brings them in this shape. */

export interface FleetNode {
  id: string;
  name: string;
  role: NodeRole;
  /** Names the node's tunnel device on real servers; never used twice. */
  index: number;
  directorGroupId: string | null;
  state: "active" | "revoked" | "quarantined" | "decommissioned";
  facts: Facts | null;
}

export interface FleetGroup {
  id: string;
  activeNodeId: string | null;
  /** The member that held the VIPs before, until it says that it let go; `sequence` is the change that took them away. */
  releasing: { nodeId: string; sequence: number } | null;
  /** Addresses beside the VIPs that move with them. */
  floatingAddresses: readonly string[];
  /** Whether its VIPs answer echo requests. */
  ping: boolean;
  /** Whether agents let its traffic through the hosts' own firewalls. */
  manageFirewall: boolean;
  /** Null: mode `single`, and nobody takes part in VRRP any more. */
  vrrp: FleetVrrp | null;
}

/** A group whose members agree by VRRP, are about to, or did. */
export interface FleetVrrp {
  /** Whether that is the group's mode; false: members are leaving it. */
  isWanted: boolean;
  name: string;
  spec: VrrpSpec;
  virtualRouterId: number;
  /** Whom the group wants, the highest priority first. */
  members: readonly { nodeId: string; priority: number }[];
  /** Who takes part by now, a part of the members while the mode changes; see `groupStep`. */
  joined: readonly string[];
  /** Who took part, until each says that it let go; `sequence` is the change that took it out. */
  leaving: readonly { nodeId: string; sequence: number }[];
  preferred: { nodeId: string; generation: number } | null;
  /** The change that last let a member in or out: what members said before it is about another pair. */
  joinedSequence: number;
}

export interface FleetService {
  id: string;
  /** The change that last touched it, its gates included: the generation of its fragments. */
  sequence: number;
  deleted: boolean;
  spec: Omit<VirtualServiceSpec, "realServers" | "directorGroupId"> & { realServers: readonly FleetRealServer[] };
}
export type FleetRealServer = RealServerSpec & { id: string };

/** What a director is about to know, knows, or still knows of one real server: everything that both ends must agree on. */
export interface Endpoint {
  vip: string;
  protocol: Protocol;
  /** The service's port. */
  port: number;
  rip: string;
  ripPort: number;
  forwarding: Forwarding;
  /** Null but for Tunnel. */
  encapsulation: Encapsulation | null;
  /** The enrolled node that owns the RIP; null: nobody can say whether it is ready. */
  nodeId: string | null;
}

/**
 * Admission of one real server at one director. Waiting: `wanted` is not `admitted` yet (which may still be an older endpoint). Open: it is.
 * Releasing: `wanted` is null.
 */
export interface Gate {
  serviceId: string;
  realServerId: string;
  directorNodeId: string;
  state: "waiting" | "open" | "releasing";
  wanted: Endpoint | null;
  /** What the director's plan holds. */
  admitted: Endpoint | null;
  /** What the director's plan held before `sequence`; the real server keeps serving it until the director says that it let go. */
  releasing: readonly { endpoint: Endpoint; sequence: number }[];
}

/** What a node last said: the generation it has, and the state of each fragment it holds. */
export interface NodeReport {
  generation: number;
  fragments: ReadonlyMap<string, FragmentState>;
  /** Its part in groups in mode `vrrp`, by group; left out: it said nothing of any. */
  groups?: ReadonlyMap<string, GroupReport>;
}

/** Look-ups over the fleet, each in constant time: planning one service never walks the fleet. */
export interface Fleet {
  node(id: string): FleetNode | undefined;
  /** The enrolled real server that has this address. */
  realServerAt(address: string): FleetNode | undefined;
}

/** A `Fleet` over a list of nodes. */
export function fleetOf(nodes: Iterable<FleetNode>): Fleet {
  const byId = new Map<string, FleetNode>();
  const byAddress = new Map<string, FleetNode>();
  for (const node of nodes) {
    byId.set(node.id, node);
    if (node.role !== "realServer" || node.state === "decommissioned") continue;
    for (const leg of node.facts?.interfaces ?? []) {
      for (const { address } of leg.addresses) if (leg.name !== "lo") byAddress.set(address, node);
    }
  }
  return { node: (id) => byId.get(id), realServerAt: (address) => byAddress.get(address) };
}
