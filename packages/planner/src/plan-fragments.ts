import {
  type DirectorServiceFragment,
  type DirectorVipFragment,
  defaultCheck,
  type Fragment,
  fragmentId,
  type PlannedDirector,
  type Protocol,
  type RealServerFragment,
} from "@trigon/model";
import { holdsVip, sameEndpoint } from "./endpoints.ts";
import type { Endpoint, Fleet, FleetGroup, FleetNode, FleetRealServer, FleetService, Gate } from "./fleet.ts";
import { isDirecting, servingMembers } from "./group.ts";
import { canonicalJson, stamp } from "./hash.ts";
import { sourceToward } from "./network.ts";
import { isProvable } from "./path-resources.ts";

export interface ServicePlanInput {
  service: FleetService;
  /** Every gate of this service. */
  gates: readonly Gate[];
  group: FleetGroup;
  /** Whether any enabled service of the group does full NAT, so that DR and Tunnel services must not be tracked. */
  groupHasFullNat: boolean;
  fleet: Fleet;
}

/** While a service's VIP, port, protocol or encapsulation changes, what is admitted under the older ones lives in up to this many more fragments. */
const olderMost = 3;

/** Every fragment id that a service may have on a node: those that a plan does not hold are tombstones. */
export function fragmentIdsOf(serviceId: string): string[] {
  return [fragmentId.directorService(serviceId), fragmentId.realServer(serviceId)].flatMap((id) => [id, ...olderIds(id)]);
}

function olderIds(id: string): string[] {
  return Array.from({ length: olderMost }, (_, index) => `${id}:${index + 1}`);
}

/** The directors that shall hold a service. */
export function directorsOf({ service, group, fleet }: Pick<ServicePlanInput, "service" | "group" | "fleet">): FleetNode[] {
  if (service.deleted || !service.spec.enabled) return [];
  return servingMembers(group)
    .map((id) => fleet.node(id))
    .filter(isDirecting);
}

/** What each node must hold for one service. Pure; nodes that need nothing are left out. */
export function planFragments(input: ServicePlanInput): Map<string, Fragment[]> {
  const plan = new Map<string, Fragment[]>();
  const put = (nodeId: string, fragments: readonly Fragment[]) => {
    if (fragments.length > 0) plan.set(nodeId, [...(plan.get(nodeId) ?? []), ...fragments]);
  };
  for (const director of directorsOf(input)) put(director.id, directorFragments(input, director));
  for (const [nodeId, served] of servedByNode(input.gates)) put(nodeId, realServerFragments(input, served));
  return plan;
}

/** The VIPs that a service needs on its directors: its own, and older ones that real servers are still admitted under. */
export function vipsOf(input: Pick<ServicePlanInput, "service" | "gates" | "group" | "fleet">): string[] {
  if (directorsOf(input).length === 0) return [];
  const older = input.gates.flatMap(({ admitted }) => (admitted ? [admitted.vip] : []));
  return [...new Set([input.service.spec.vip, ...older])];
}

/**
 * The fragment of a VIP or floating address on each node that shall hold it, or hold it ready: in mode `single` one, none while the member that held it before has not
 * let go; in mode `vrrp` every member that takes part, of which keepalived gives it to one.
 */
export function planVip(input: {
  vip: string;
  /** The change that last touched the VIP or its group. */
  generation: number;
  group: FleetGroup;
  fleet: Fleet;
}): Map<string, DirectorVipFragment> {
  const { vip, generation, group, fleet } = input;
  // A floating address is a gateway or a source: nothing on it is closed.
  const closing = group.floatingAddresses.includes(vip) ? {} : { ping: group.ping };
  const base = { id: fragmentId.directorVip(vip), kind: "director.vip", vip, ...closing } as const;
  const joined = group.vrrp?.joined ?? [];
  if (joined.length > 0) {
    const members = joined.map((id) => fleet.node(id)).filter(isDirecting);
    return new Map(members.map(({ id }) => [id, stamp({ ...base, heldBy: "vrrp" as const }, generation)]));
  }
  const active = group.activeNodeId === null ? undefined : fleet.node(group.activeNodeId);
  const isLetGo = group.releasing === null && (group.vrrp?.leaving ?? []).length === 0;
  if (!isDirecting(active) || !isLetGo) return new Map();
  return new Map([[active.id, stamp({ ...base, heldBy: "agent" as const }, generation)]]);
}

/** The older front ends, in an order that everyone agrees on; the service's own comes first. */
function frontends(endpoints: readonly Endpoint[], { spec }: FleetService): Endpoint[][] {
  const isCurrent = ({ vip, protocol, port, encapsulation }: Endpoint) =>
    vip === spec.vip &&
    protocol === spec.protocol &&
    port === spec.port &&
    (encapsulation === null || encapsulation === spec.encapsulation);
  const older = new Map<string, Endpoint[]>();
  for (const endpoint of endpoints) {
    if (isCurrent(endpoint)) continue;
    const name = canonicalJson([endpoint.vip, endpoint.protocol, endpoint.port, endpoint.encapsulation]);
    older.set(name, [...(older.get(name) ?? []), endpoint]);
  }
  const names = [...older.keys()].toSorted().slice(0, olderMost);
  return [endpoints.filter(isCurrent), ...names.map((name) => older.get(name)!)];
}

function directorFragments(input: ServicePlanInput, director: FleetNode): Fragment[] {
  const { service, gates, group, groupHasFullNat } = input;
  const { spec } = service;
  const id = fragmentId.directorService(service.id);
  const byId = new Map(spec.realServers.map((realServer) => [realServer.id, realServer]));
  const admitted = gates.filter((gate) => gate.directorNodeId === director.id && gate.admitted !== null);
  const groups = frontends(
    admitted.map((gate) => gate.admitted!),
    service,
  );
  return groups.map((endpoints, index) => {
    const front = index === 0 ? spec : endpoints[0]!;
    const destinations = admitted.flatMap(({ realServerId, admitted: endpoint }) => {
      const realServer = byId.get(realServerId);
      if (!realServer || !endpoints.includes(endpoint!)) return [];
      const { rip, ripPort, forwarding } = endpoint!;
      const { weight, upperThreshold, lowerThreshold } = realServer;
      const base = { realServerId, rip, port: ripPort, forwarding, weight, upperThreshold, lowerThreshold };
      return [{ ...base, ...adminOf(realServer) }];
    });
    const content = {
      id: index === 0 ? id : olderIds(id)[index - 1]!,
      kind: "director.service",
      serviceId: service.id,
      name: spec.name,
      vip: front.vip,
      protocol: front.protocol,
      port: front.port,
      scheduler: spec.scheduler,
      schedulerFlags: spec.schedulerFlags,
      persistence: spec.persistence,
      onePacket: spec.onePacket,
      encapsulation: front.encapsulation ?? spec.encapsulation,
      snatSource: spec.snatSource,
      notrack: groupHasFullNat && (spec.forwarding === "dr" || spec.forwarding === "tun"),
      ...healthOf(spec, front),
      ...(isProvable(front.protocol) ? { provesPaths: true } : {}),
      ...(spec.slowStartSeconds > 0 ? { slowStartSeconds: spec.slowStartSeconds } : {}),
      allow: spec.allow,
      ...(group.manageFirewall ? { managesFirewall: true } : {}),
      destinations: destinations.toSorted((a, b) => compare(a.realServerId, b.realServerId)),
    } as const satisfies Omit<DirectorServiceFragment, "hash" | "generation">;
    return stamp(content, service.sequence);
  });
}

/** Nothing for an active real server, so that its fragment stays as it always was. */
function adminOf({ adminState, drain }: FleetRealServer) {
  if (adminState === "active") return {};
  return drain !== null && adminState !== "disabled" ? { adminState, drain } : { adminState };
}

/** Health with its defaults spelled out; nothing when there is nothing to check and nobody to jump in. */
function healthOf({ health, forwarding }: FleetService["spec"], front: { protocol: Protocol; port: number }) {
  const check = health.check ?? defaultCheck(front.protocol);
  const { sorryServer: sorry } = health;
  if (check.kind === "none" && sorry === null) return {};
  const sorryServer = sorry && { rip: sorry.rip, port: sorry.port ?? front.port, forwarding: sorry.forwarding ?? forwarding };
  return { health: { ...health, check, sorryServer } };
}

interface Served {
  realServerId: string;
  directorNodeId: string;
  endpoint: Endpoint;
}

/** Everything that each enrolled node must serve: what is coming, what is there, and what its director has not let go of yet. */
function servedByNode(gates: readonly Gate[]): Map<string, Served[]> {
  const byNode = new Map<string, Served[]>();
  for (const { realServerId, directorNodeId, wanted, admitted, releasing } of gates) {
    const endpoints = [wanted, admitted, ...releasing.map(({ endpoint }) => endpoint)];
    for (const [index, endpoint] of endpoints.entries()) {
      if (endpoint === null || endpoint.nodeId === null || !holdsVip(endpoint)) continue;
      if (endpoints.findIndex((other) => sameEndpoint(other, endpoint)) < index) continue;
      const served = { realServerId, directorNodeId, endpoint };
      byNode.set(endpoint.nodeId, [...(byNode.get(endpoint.nodeId) ?? []), served]);
    }
  }
  return byNode;
}

function realServerFragments({ service, group, fleet }: ServicePlanInput, served: readonly Served[]): Fragment[] {
  const id = fragmentId.realServer(service.id);
  const groups = frontends(
    served.map(({ endpoint }) => endpoint),
    service,
  );
  return groups.flatMap((endpoints, index) => {
    const own = served.filter(({ endpoint }) => endpoints.includes(endpoint));
    const first = own[0]?.endpoint;
    if (!first) return [];
    const serving = own.map(({ realServerId, endpoint: { rip, ripPort, forwarding } }) => ({
      realServerId,
      rip,
      port: ripPort,
      forwarding,
    }));
    const content = {
      id: index === 0 ? id : olderIds(id)[index - 1]!,
      kind: "realServer.serve",
      serviceId: service.id,
      name: service.spec.name,
      vip: first.vip,
      protocol: first.protocol,
      port: first.port,
      encapsulation: own.find(({ endpoint }) => endpoint.encapsulation)?.endpoint.encapsulation ?? service.spec.encapsulation,
      endpoints: distinct(serving),
      directors: tunnelDirectors(own, fleet),
      ...probersOf(own, first, fleet),
      allow: service.spec.allow,
      ...(group.manageFirewall ? { managesFirewall: true } : {}),
    } as const satisfies Omit<RealServerFragment, "hash" | "generation">;
    return [stamp(content, service.sequence)];
  });
}

/** Where probes of these endpoints come from. */
function probersOf(served: readonly Served[], front: Endpoint, fleet: Fleet): { probedFrom?: string[] } {
  if (!isProvable(front.protocol)) return {};
  const sources = served.flatMap(({ directorNodeId, endpoint }) => {
    const facts = fleet.node(directorNodeId)?.facts;
    return (facts && sourceToward(endpoint.rip, facts)?.address) ?? [];
  });
  return sources.length > 0 ? { probedFrom: [...new Set(sources)].toSorted() } : {};
}

/** Only Tunnel needs to know who sends; a director whose address is not known yet is left out, and its gate stays closed. */
function tunnelDirectors(served: readonly Served[], fleet: Fleet): PlannedDirector[] {
  const directors = served.flatMap(({ directorNodeId, endpoint }): PlannedDirector[] => {
    if (endpoint.forwarding !== "tun") return [];
    const director = fleet.node(directorNodeId);
    const source = director?.facts ? sourceToward(endpoint.rip, director.facts) : undefined;
    return director && source
      ? [{ nodeId: director.id, index: director.index, address: source.address, mac: linkAddress(source.mac) }]
      : [];
  });
  const first = new Map<string, PlannedDirector>();
  for (const director of directors) if (!first.has(director.nodeId)) first.set(director.nodeId, director);
  return [...first.values()].toSorted((a, b) => a.index - b.index);
}

/** An Ethernet address in lower case; other links have none that a filter could match. */
function linkAddress(mac: string | null): string | null {
  const lower = mac?.toLowerCase() ?? "";
  return /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(lower) ? lower : null;
}

function distinct<T extends { realServerId: string }>(items: readonly T[]): T[] {
  const byContent = new Map(items.map((item) => [canonicalJson(item), item]));
  return [...byContent].toSorted(([a], [b]) => compare(a, b)).map(([, item]) => item);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
