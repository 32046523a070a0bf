import { type Fragment, type VirtualServiceInput, VirtualServiceSpec } from "@trigon/model";
import type { FleetGroup, FleetNode, FleetService, Gate, NodeReport } from "../src/fleet.ts";
import { fleetOf } from "../src/fleet.ts";
import { gateChanges } from "../src/gates.ts";
import { planFragments } from "../src/plan-fragments.ts";
import { factsOf } from "./facts.ts";

export function nodeOf(id: string, address: string, more: Partial<FleetNode> = {}): FleetNode {
  const isDirector = id.startsWith("node_d");
  return {
    id,
    name: id.slice(5),
    role: isDirector ? "director" : "realServer",
    index: Number(/\d+$/.exec(id)?.[0] ?? 1),
    directorGroupId: isDirector ? "dg_1" : null,
    state: "active",
    facts: factsOf({ hostname: id.slice(5), legs: { eth0: [`${address}/24`] }, gateway: "192.0.2.1" }),
    ...more,
  };
}

export const vip = "192.0.2.10";

/** A group in mode `single`, whose VIPs the first director holds. */
export const singleGroup: FleetGroup = {
  id: "dg_1",
  activeNodeId: "node_d1",
  releasing: null,
  floatingAddresses: [],
  ping: true,
  manageFirewall: false,
  vrrp: null,
};

/**
 * A controller and its agents in memory: `save` writes a service, `reportAll` lets nodes say that they hold their plan. Rows live here as
 * they would in a database, and every write has the next sequence.
 */
export class World {
  sequence = 0;
  nodes = new Map<string, FleetNode>();
  group: FleetGroup = singleGroup;
  service: FleetService | undefined;
  gates: Gate[] = [];
  readonly reports = new Map<string, NodeReport>();
  /** What each node's kernel holds, said or not. */
  readonly held = new Map<string, { generation: number; fragments: readonly Fragment[] }>();

  constructor(nodes: readonly FleetNode[]) {
    for (const node of nodes) this.nodes.set(node.id, node);
  }

  get #input() {
    if (!this.service) throw new Error("save a service first");
    const { service, gates, group } = this;
    return { service, gates, group, groupHasFullNat: false, fleet: fleetOf(this.nodes.values()) };
  }

  save(
    input: Omit<VirtualServiceInput, "name" | "realServers"> & {
      realServers: (VirtualServiceInput["realServers"] & {})[number][];
    },
  ) {
    const spec = VirtualServiceSpec.parse({ name: "web", ...input });
    const realServers = spec.realServers.map((realServer) => ({ ...realServer, id: realServer.id! }));
    this.service = { id: "vs_1", sequence: this.sequence, deleted: false, spec: { ...spec, realServers } };
    this.touch();
  }

  /** The write that follows an edit of a row or of a node. */
  touch(): void {
    this.sequence++;
    this.service = { ...this.service!, sequence: this.sequence };
    this.#settle();
  }

  #settle(): number {
    const report = (id: string) => this.reports.get(id);
    const changes = gateChanges({ ...this.#input, report, sequence: this.sequence });
    for (const { op, gate } of changes) {
      this.gates = this.gates.filter(
        (other) => other.realServerId !== gate.realServerId || other.directorNodeId !== gate.directorNodeId,
      );
      if (op === "put") this.gates.push(gate);
    }
    return changes.length;
  }

  plan() {
    return planFragments(this.#input);
  }

  /** The node takes its newest plan, holds all of it, and says so; gates move if they can. */
  report(id: string): void {
    this.take(id);
    this.say(id);
  }

  /** The node's kernel comes to hold its newest plan. */
  take(id: string): void {
    this.held.set(id, { generation: this.sequence, fragments: this.plan().get(id) ?? [] });
  }

  /** The node says what it holds. */
  say(id: string): void {
    const { generation, fragments } = this.held.get(id) ?? { generation: 0, fragments: [] };
    this.reports.set(id, {
      generation,
      fragments: new Map(
        fragments.map((fragment) => [
          fragment.id,
          { id: fragment.id, hash: fragment.hash, state: "applied", reason: null, message: null },
        ]),
      ),
    });
    this.sequence++;
    if (this.#settle() > 0) this.service = { ...this.service!, sequence: this.sequence };
    else this.sequence--;
  }

  /** Director RIPs as its plan has them: `192.0.2.21:80 dr`. */
  destinations(id = "node_d1"): string[] {
    return (this.plan().get(id) ?? []).flatMap((fragment) =>
      fragment.kind === "director.service"
        ? fragment.destinations.map(({ rip, port, forwarding }) => `${fragment.vip} > ${rip}:${port} ${forwarding}`)
        : [],
    );
  }

  /** What a real server serves: `192.0.2.10:80 dr`. */
  served(id: string): string[] {
    return (this.plan().get(id) ?? []).flatMap((fragment) =>
      fragment.kind === "realServer.serve"
        ? fragment.endpoints.map(({ forwarding }) => `${fragment.vip}:${fragment.port} ${forwarding}`)
        : [],
    );
  }

  states(): string[] {
    return this.gates.map(({ realServerId, directorNodeId, state }) => `${realServerId} ${directorNodeId} ${state}`).toSorted();
  }
}
