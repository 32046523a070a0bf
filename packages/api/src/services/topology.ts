import type { ServiceCountersView, TopologyDirector, TopologyLink, TopologyService, TopologyView } from "@trigon/model";
import type { StoredService } from "../fleet-rows.ts";
import type { FleetState } from "../fleet-state.ts";
import { holderOf } from "../group-view.ts";
import type { ServiceContext } from "../service-context.ts";
import type { Services } from "../services.ts";
import { nodeView, serviceView } from "../views.ts";
import { linkState } from "./link-state.ts";
import { matches } from "./text-filter.ts";

/** More than these nobody reads in one picture; a filter shows the rest. */
const servicesMost = 300;
const linksMost = 2_000;

/** The fleet as a picture: who sends to whom, how much, and what stands in the way. */
export function topology(context: ServiceContext): Services["topology"] {
  const { store, sources, live, counters } = context;

  /** The services that fit, by name, as many as fit into one picture. */
  function chosen(state: FleetState, query: string | undefined, serviceId: string | undefined) {
    const all = state
      .liveServices()
      .filter(({ id, spec }) => (serviceId === undefined || id === serviceId) && matches(query, ...wordsOf(id, spec)))
      .sort((a, b) => a.spec.name.localeCompare(b.spec.name, "en"));
    let links = 0;
    const services = all.slice(0, servicesMost).filter(({ spec }, at) => {
      links += spec.realServers.length;
      return at === 0 || links <= linksMost;
    });
    return { services, total: all.length };
  }

  function pictured(state: FleetState, service: StoredService, figures: ServiceCountersView | undefined) {
    const { spec } = service;
    const view = serviceView(sources, service);
    const directorNodeId = holderOf(sources, spec.directorGroupId);
    const director = directorNodeId === null ? undefined : state.nodes.get(directorNodeId);
    const ofRealServer = new Map(figures?.realServers.map((one) => [one.realServerId, one]));
    const health = new Map(view.status.health?.realServers.map((one) => [one.realServerId, one]));
    const parts = new Map(view.status.parts.map((part) => [part.nodeId, part]));
    const own: TopologyService = {
      id: service.id,
      name: spec.name,
      vip: spec.vip,
      port: spec.port,
      protocol: spec.protocol,
      forwarding: spec.forwarding,
      enabled: spec.enabled,
      directorGroupId: spec.directorGroupId,
      directorNodeId,
      sync: view.status.sync,
      healthMode: view.status.health?.mode ?? null,
      active: figures?.realServers.reduce((sum, one) => sum + one.active, 0) ?? 0,
      connectionsPerSecond: figures?.rates.connectionsPerSecond ?? null,
      requestBytesPerSecond: figures?.rates.inBytesPerSecond ?? null,
      // What passed the director and what real servers sent themselves: one of the two, or both where they differ in forwarding.
      replyBytesPerSecond: figures ? sumOfKnown(figures.rates.outBytesPerSecond, figures.replyBytesPerSecond) : null,
    };
    const links = spec.realServers.map((server): TopologyLink => {
      const count = ofRealServer.get(server.id);
      const gate = view.status.gates.find((one) => one.realServerId === server.id && one.directorNodeId === directorNodeId);
      const stored = service.gates.find((one) => one.realServerId === server.id && one.directorNodeId === directorNodeId);
      const node = state.nodes.get(server.nodeId ?? gate?.nodeId ?? state.index.realServerAt(server.rip)?.id ?? "");
      const forwarding = server.forwarding ?? spec.forwarding;
      const isDirect = forwarding === "dr" || forwarding === "tun";
      return {
        serviceId: service.id,
        realServerId: server.id,
        rip: server.rip,
        port: server.port ?? spec.port,
        nodeId: node?.id ?? null,
        nodeName: node?.name ?? null,
        forwarding,
        adminState: server.adminState,
        weight: count?.weight ?? server.weight,
        active: count?.active ?? 0,
        ...linkState({
          isServiceEnabled: spec.enabled,
          director: director ? { name: director.name, isConnected: live.isConnected(director.id) } : null,
          adminState: server.adminState,
          weight: count?.weight ?? server.weight,
          gate,
          isAdmitted: stored !== undefined && stored.admitted !== null,
          health: health.get(server.id),
          path: count?.path,
          parts: [directorNodeId, node?.id].flatMap((id) => (id ? (parts.get(id) ?? []) : [])),
        }),
        connectionsPerSecond: count?.rates.connectionsPerSecond ?? null,
        requestBytesPerSecond: count?.rates.inBytesPerSecond ?? null,
        replyBytesPerSecond: (isDirect ? count?.replyBytesPerSecond : count?.rates.outBytesPerSecond) ?? null,
      };
    });
    return { own, links };
  }

  function directorsOf(state: FleetState, groupIds: ReadonlySet<string>): TopologyDirector[] {
    const drawn = new Set<string>();
    return [...groupIds].flatMap((groupId) => {
      const group = state.groups.get(groupId);
      return state
        .members(groupId)
        .filter((node) => node.state === "active" || node.state === "quarantined")
        .filter(({ id }) => !drawn.has(id))
        .map((node) => {
          drawn.add(node.id); // a director of several groups is one machine
          const view = nodeView(sources, node);
          return {
            nodeId: node.id,
            name: node.name,
            directorGroupId: groupId,
            groupName: group?.name ?? "",
            isActive: view.isActiveDirector,
            isConnected: view.isConnected,
            addresses: view.addresses,
            sync: view.sync,
          };
        });
    });
  }

  return {
    async get({ query, serviceId }): Promise<TopologyView> {
      const state = await store.refresh();
      await counters.look();
      const { services, total } = chosen(state, query, serviceId);
      const nodeOf = ({ rip, nodeId }: { rip: string; nodeId: string | null }) => nodeId ?? state.index.realServerAt(rip)?.id;
      const views = counters.views(
        state,
        services.map(({ id }) => id),
        nodeOf,
      );
      const figures = new Map(views.map((view) => [view.serviceId, view]));
      const pictures = services.map((service) => pictured(state, service, figures.get(service.id)));
      return {
        services: pictures.map(({ own }) => own),
        directors: directorsOf(state, new Set(services.map(({ spec }) => spec.directorGroupId))),
        links: pictures.flatMap(({ links }) => links),
        total,
      };
    },
  };
}

function wordsOf(id: string, { name, vip, port, realServers }: StoredService["spec"]): string[] {
  return [id, name, vip, `${vip}:${port}`, ...realServers.map(({ rip }) => rip)];
}

function sumOfKnown(...values: (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0);
}
