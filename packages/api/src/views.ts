import {
  applying,
  defaultCheck,
  type FragmentState,
  type GateView,
  type NodePart,
  type NodeView,
  type ServiceHealthView,
  type ServiceRow,
  summarise,
  type VirtualServiceView,
} from "@trigon/model";
import { fragmentIdsOf, gateReason } from "@trigon/planner";
import type { StoredGate, StoredNode, StoredService } from "./fleet-rows.ts";
import type { FleetState } from "./fleet-state.ts";
import { holderOf } from "./group-view.ts";
import type { Live } from "./live.ts";
import type { PlanStore } from "./plan-store.ts";

/** What views are made of: what is wanted, and what was said. */
export interface ViewSources {
  state: FleetState;
  plans: PlanStore;
  live: Live;
}

/** What a node said of fragments in this epoch: what it held in an earlier one is no answer to what is wanted now. */
function fragmentsSaid({ state, live }: ViewSources, nodeId: string): ReadonlyMap<string, FragmentState> | undefined {
  const report = live.report(nodeId);
  return report?.epoch === state.current.epoch ? report.fragments : undefined;
}

/** Each fragment of a service, and of its VIP, beside what its node last said about it. */
function partsOf(sources: ViewSources, service: StoredService): (NodePart & { role: StoredNode["role"] })[] {
  const { state, plans, live } = sources;
  const subjects = [plans.planOf(service.id), plans.planOf(service.spec.vip)];
  const isHeld = service.deletedAt === null && service.spec.enabled;
  return subjects.slice(0, isHeld ? 2 : 1).flatMap((plan) =>
    [...plan].flatMap(([nodeId, fragments]) => {
      const node = state.nodes.get(nodeId);
      if (!node) return [];
      return fragments.map(({ id, hash }) => partOf(live, node, hash, fragmentsSaid(sources, nodeId)?.get(id)));
    }),
  );
}

function partOf(live: Live, node: StoredNode, wantedHash: string, reported: FragmentState | undefined) {
  return {
    nodeId: node.id,
    nodeName: node.name,
    role: node.role,
    isConnected: live.isConnected(node.id),
    wantedHash,
    reported: reported ?? null,
  };
}

export function syncOf(sources: ViewSources, service: StoredService): VirtualServiceView["status"]["sync"] {
  return summarise(partsOf(sources, service), service.spec.enabled);
}

export function serviceView(sources: ViewSources, service: StoredService): VirtualServiceView {
  const parts = partsOf(sources, service);
  const byNode = new Map<string, typeof parts>();
  for (const part of parts) byNode.set(part.nodeId, [...(byNode.get(part.nodeId) ?? []), part]);
  return {
    ...service.spec,
    id: service.id,
    revision: service.revision,
    createdAt: service.createdAt.toISOString(),
    updatedAt: service.updatedAt.toISOString(),
    status: {
      sync: summarise(parts, service.spec.enabled),
      parts: [...byNode.values()].map((own) => {
        const { nodeId, nodeName, role } = own[0]!;
        return { nodeId, nodeName, role, ...summarise(own) };
      }),
      gates: service.gates.map((gate) => gateView(sources, gate)),
      health: healthView(sources, service),
    },
  };
}

/** What the active director said last of the service's real servers, older front ends of the service included. */
export function healthView({ state, live }: ViewSources, service: StoredService): ServiceHealthView | null {
  const directorNodeId = holderOf({ state, live }, service.spec.directorGroupId);
  const said = directorNodeId ? live.report(directorNodeId)?.health : undefined;
  if (!directorNodeId || !said || !service.spec.enabled || service.deletedAt) return null;
  const own = fragmentIdsOf(service.id).flatMap((id) => said.get(id) ?? []);
  const [current] = own;
  if (!current) return null;
  const realServers = new Map(own.toReversed().flatMap((one) => one.realServers.map((server) => [server.realServerId, server])));
  return {
    directorNodeId,
    mode: current.mode,
    check: service.spec.health.check ?? defaultCheck(service.spec.protocol),
    realServers: [...realServers.values()],
  };
}

export function gateView({ state, live }: ViewSources, gate: StoredGate): GateView {
  const endpoint = gate.wanted ?? gate.admitted ?? gate.releasing[0]?.endpoint;
  const why = gateReason(gate, state.index, (nodeId) => live.report(nodeId));
  return {
    realServerId: gate.realServerId,
    rip: endpoint?.rip ?? "",
    port: endpoint?.ripPort ?? 0,
    nodeId: endpoint?.nodeId ?? null,
    directorNodeId: gate.directorNodeId,
    state: gate.state,
    reason: why?.message ?? null,
    reasonCode: why?.code ?? null,
    values: why?.values ?? {},
    since: gate.since.toISOString(),
  };
}

export function serviceRow(sources: ViewSources, service: StoredService): ServiceRow {
  const { spec } = service;
  const health = healthView(sources, service);
  const admitted = new Set(service.gates.filter((gate) => gate.admitted !== null).map((gate) => gate.realServerId));
  return {
    id: service.id,
    revision: service.revision,
    name: spec.name,
    enabled: spec.enabled,
    vip: spec.vip,
    protocol: spec.protocol,
    port: spec.port,
    forwarding: spec.forwarding,
    scheduler: spec.scheduler,
    realServers: {
      total: spec.realServers.length,
      admitted: spec.realServers.filter(({ id }) => admitted.has(id)).length,
      out: health?.realServers.filter(({ isOut }) => isOut).length ?? 0,
    },
    healthMode: health?.mode ?? null,
    sync: syncOf(sources, service),
  };
}

/** A node's own parts: every fragment that it should hold. */
export function nodeParts(sources: ViewSources, node: StoredNode) {
  const { plans, live } = sources;
  const said = fragmentsSaid(sources, node.id);
  return [...plans.fragments(node.id).values()].map((fragment) => {
    const part = partOf(live, node, fragment.hash, said?.get(fragment.id));
    const title = fragment.kind === "director.vip" ? fragment.vip : fragment.name;
    return { fragmentId: fragment.id, title, part };
  });
}

export function nodeView(sources: ViewSources, node: StoredNode): NodeView {
  const { plans, live } = sources;
  const report = live.report(node.id);
  const parts = nodeParts(sources, node).map(({ part }) => part);
  const isConnected = live.isConnected(node.id);
  const idle = isConnected
    ? { state: "inSync" as const, reason: "node.idle", message: "It has nothing to hold." }
    : { state: "unknown" as const, reason: "node.disconnected", message: `${node.name} is not connected.` };
  const sync = parts.length === 0 ? idle : summarise(parts);
  const wanted = plans.wanted(node.id);
  // Nothing of what it should hold says so when something else is still to go.
  const isRemoving = sync.state === "inSync" && (report?.generation ?? 0) < wanted;
  return {
    id: node.id,
    revision: node.revision,
    name: node.name,
    role: node.role,
    directorGroupId: node.directorGroupId,
    state: node.state,
    isConnected,
    isActiveDirector:
      node.role === "director" && sources.state.groupsOf(node).some((group) => holderOf(sources, group.id) === node.id),
    lastSeenAt: live.lastSeenAt(node.id)?.toISOString() ?? null,
    enrolledAt: node.enrolledAt.toISOString(),
    agentVersion: node.agentVersion,
    certificateExpiresAt: node.certExpiresAt?.toISOString() ?? null,
    addresses: [
      ...new Set(
        node.facts?.interfaces
          .filter(({ name }) => name !== "lo")
          .flatMap(({ addresses }) => addresses.map(({ address }) => address))
          .filter((address) => !address.startsWith("fe80:")) ?? [],
      ),
    ],
    generation: { wanted, applied: report?.generation ?? null },
    sync: isRemoving ? applying(node.name) : sync,
  };
}
