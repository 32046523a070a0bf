import { endpoint, type Forwarding, inNetwork, type TopologyLink, type TopologyService, type TopologyView } from "@trigon/model";

/** From left to right. */
export const layers = ["client", "service", "director", "server"] as const;
export type Layer = (typeof layers)[number];

/** `partly`: some of its ways carry traffic and some do not. */
export type NodeState = "serving" | "partly" | "idle" | "broken" | "unknown";

export interface GraphNode {
  key: string;
  layer: Layer;
  label: string;
  note: string;
  state: NodeState;
  /** The services whose packets pass here. */
  serviceIds: string[];
  /** What a collapsed node stands for; empty: it stands for itself. */
  members: { key: string; label: string; state: NodeState }[];
}

/** `direct`: a reply that passes the director by; it leaves a real server and ends at the clients. */
export type EdgeKind = "request" | "reply" | "direct";

export interface GraphEdge {
  key: string;
  from: string;
  to: string;
  kind: EdgeKind;
  forwarding: Forwarding;
  state: NodeState;
  /** Null where nobody counts. */
  bytesPerSecond: number | null;
  serviceIds: string[];
}

export interface Graph {
  nodes: GraphNode[];
  edges: GraphEdge[];
  /** Whether anything stands for more than itself. */
  isCollapsed: boolean;
}

/** Beyond so many nodes neighbours are drawn as one. */
export const nodesMost = 60;
const serversMost = 40;
const servicesMost = 24;

/** What the states of several ways come to. */
export function worst(states: readonly (NodeState | TopologyLink["state"])[]): NodeState {
  const has = (state: NodeState) => states.some((one) => one === state);
  const isTroubled = has("broken") || has("unknown") || has("partly");
  if (!isTroubled) return has("serving") ? "serving" : "idle";
  if (has("serving") || has("partly")) return "partly";
  return has("broken") ? "broken" : "unknown";
}

interface Cluster {
  key: string;
  label: string;
  note: string;
  of: string[];
}

/** The fleet as nodes and edges, with neighbours collapsed where there are too many to read. `open`: clusters to draw one by one. Pure. */
export function graphOf(view: TopologyView, open: ReadonlySet<string> = new Set()): Graph {
  const rips = [...new Set(view.links.map(({ rip }) => rip))];
  const isMany = view.services.length + view.directors.length + rips.length > nodesMost;
  const linksAt = groupBy(view.links, ({ rip }) => rip);
  const linksOf = groupBy(view.links, ({ serviceId }) => serviceId);
  const clustersOfServers = isMany ? pooled(rips, linksAt, view.services) : [];
  const clustersOfServices = isMany && view.services.length > servicesMost ? byVip(view.services) : [];
  const clusterOf = new Map<string, Cluster>();
  for (const cluster of [...clustersOfServers, ...clustersOfServices]) {
    if (open.has(cluster.key) || cluster.of.length < 2) continue;
    for (const member of cluster.of) clusterOf.set(member, cluster);
  }
  const nodes = new Map<string, GraphNode>();
  /** The node that draws a thing: itself, or what it is collapsed into. */
  const draw = (own: Omit<GraphNode, "members" | "serviceIds">, serviceIds: readonly string[]) => {
    const cluster = clusterOf.get(own.key);
    const key = cluster?.key ?? own.key;
    const member = { key: own.key, label: own.label, state: own.state };
    const known = nodes.get(key);
    if (known) {
      known.members.push(member);
      known.state = worst([...known.members.map(({ state }) => state)]);
      known.serviceIds = [...new Set([...known.serviceIds, ...serviceIds])];
    } else if (cluster) {
      const head = { ...own, key, label: cluster.label, note: cluster.note };
      nodes.set(key, { ...head, serviceIds: [...serviceIds], members: [member] });
    } else nodes.set(key, { ...own, serviceIds: [...serviceIds], members: [] });
    return key;
  };
  const edges = new Map<string, GraphEdge>();
  const join = (from: string, to: string, kind: EdgeKind, forwarding: Forwarding, one: Flow) => {
    const key = `${from}>${to}>${kind}>${forwarding}`;
    const known = edges.get(key);
    if (!known) {
      edges.set(key, { key, from, to, kind, forwarding, ...one, serviceIds: [one.serviceId] });
      return;
    }
    known.state = worst([known.state, one.state]);
    known.bytesPerSecond = add(known.bytesPerSecond, one.bytesPerSecond);
    if (!known.serviceIds.includes(one.serviceId)) known.serviceIds.push(one.serviceId);
  };

  const client = draw(
    { key: "client", layer: "client", label: "", note: "", state: worst(view.links.map(({ state }) => state)) },
    view.services.map(({ id }) => id),
  );
  for (const director of view.directors) {
    const own = view.services.filter(({ directorNodeId }) => directorNodeId === director.nodeId).map(({ id }) => id);
    const key = `director:${director.nodeId}`;
    const state = director.isConnected ? (director.isActive ? "serving" : "idle") : director.isActive ? "unknown" : "broken";
    draw({ key, layer: "director", label: director.name, note: director.addresses[0] ?? "", state }, own);
  }
  const keyOfDirector = (service: TopologyService) => {
    const key = service.directorNodeId ? `director:${service.directorNodeId}` : `nobody:${service.directorGroupId}`;
    if (!nodes.has(key)) draw({ key, layer: "director", label: "", note: "", state: "broken" }, []);
    const node = nodes.get(key);
    if (node && !node.serviceIds.includes(service.id)) node.serviceIds.push(service.id);
    return key;
  };
  for (const service of view.services) {
    const links = linksOf.get(service.id) ?? [];
    const state = service.enabled ? worst(links.map((link) => link.state)) : "idle";
    const address = endpoint(service.vip, service.port);
    const own = draw(
      { key: `service:${service.id}`, layer: "service", label: service.name, note: `${address}/${service.protocol}`, state },
      [service.id],
    );
    const director = keyOfDirector(service);
    const request = { state, bytesPerSecond: service.requestBytesPerSecond, serviceId: service.id };
    join(client, own, "request", service.forwarding, request);
    join(own, director, "request", service.forwarding, request);
    // A real server may differ from its service in forwarding: only what comes back through the director is drawn so.
    const through = links.filter(({ forwarding }) => !isDirect(forwarding));
    if (through.length > 0) {
      const bytesPerSecond = through.reduce<number | null>((sum, one) => add(sum, one.replyBytesPerSecond), null);
      const reply = { state: worst(through.map((link) => link.state)), bytesPerSecond, serviceId: service.id };
      join(director, own, "reply", through[0]!.forwarding, reply);
      join(own, client, "reply", through[0]!.forwarding, reply);
    }
  }
  const byId = new Map(view.services.map((service) => [service.id, service]));
  for (const [rip, links] of linksAt) {
    const [{ nodeName }] = links as [TopologyLink];
    const serviceIds = [...new Set(links.map(({ serviceId }) => serviceId))];
    const state = worst(links.map((link) => link.state));
    const head = { key: `server:${rip}`, layer: "server" as const, label: nodeName ?? rip, note: nodeName ? rip : "" };
    const own = draw({ ...head, state }, serviceIds);
    for (const link of links) {
      const service = byId.get(link.serviceId);
      if (!service) continue;
      const director = keyOfDirector(service);
      const { serviceId, requestBytesPerSecond, replyBytesPerSecond, forwarding } = link;
      join(director, own, "request", forwarding, { state: link.state, bytesPerSecond: requestBytesPerSecond, serviceId });
      const reply = { state: link.state, bytesPerSecond: replyBytesPerSecond, serviceId };
      if (isDirect(forwarding)) join(own, client, "direct", forwarding, reply);
      else join(own, director, "reply", forwarding, reply);
    }
  }
  return { nodes: [...nodes.values()], edges: [...edges.values()], isCollapsed: clusterOf.size > 0 };
}

interface Flow {
  state: NodeState;
  bytesPerSecond: number | null;
  serviceId: string;
}

/** Whether replies pass the director by. */
export function isDirect(forwarding: Forwarding): boolean {
  return forwarding === "dr" || forwarding === "tun";
}

/** Real servers that do the same work, as one; where that is not enough, those of one network. */
function pooled(rips: string[], linksAt: Map<string, TopologyLink[]>, services: readonly TopologyService[]): Cluster[] {
  const names = new Map(services.map(({ id, name }) => [id, name]));
  const work = groupBy(rips, (rip) =>
    [...new Set((linksAt.get(rip) ?? []).map(({ serviceId, forwarding }) => `${serviceId} ${forwarding}`))].sort().join("+"),
  );
  const pools = [...work].map(([, members]): Cluster => {
    const sorted = members.sort(compareAddresses);
    const own = [...new Set((linksAt.get(sorted[0]!) ?? []).map(({ serviceId }) => names.get(serviceId) ?? ""))];
    return {
      key: `pool:${sorted[0]}`,
      label: own.length > 2 ? `${own.slice(0, 2).join(", ")} +${own.length - 2}` : own.join(", "),
      note: sorted.length > 1 ? `${sorted[0]} – ${sorted.at(-1)}` : sorted[0]!,
      of: sorted.map((rip) => `server:${rip}`),
    };
  });
  if (pools.length <= serversMost) return pools;
  return byNetwork(rips, "server:", (rip) => [rip], serversMost);
}

function byVip(services: readonly TopologyService[]): Cluster[] {
  const vips = groupBy(services, ({ vip }) => vip);
  const of = (list: readonly TopologyService[]) => list.map(({ id }) => `service:${id}`);
  if (vips.size <= serversMost)
    return [...vips].map(([vip, own]) => ({
      key: `vip:${vip}`,
      label: vip,
      note: own
        .map(({ port }) => port)
        .sort((a, b) => a - b)
        .join(", "),
      of: of(own),
    }));
  return byNetwork([...vips.keys()], "service:", (vip) => (vips.get(vip) ?? []).map(({ id }) => id), serversMost);
}

/** The longest prefixes that leave no more than `most` clusters. */
function byNetwork(addresses: readonly string[], prefix: string, idsAt: (address: string) => string[], most: number): Cluster[] {
  for (const [four, six] of [
    [28, 80],
    [24, 64],
    [20, 56],
    [16, 48],
    [8, 32],
    [0, 0],
  ] as const) {
    const networks = networksOf(addresses, four, six);
    if (networks.length > most && four > 0) continue;
    return networks.map(({ text, of }) => ({
      key: `net:${prefix}${text}`,
      label: text,
      note: "",
      of: of.flatMap((address) => idsAt(address).map((id) => `${prefix}${id}`)),
    }));
  }
  return [];
}

function networksOf(addresses: readonly string[], four: number, six: number) {
  const found: { text: string; base: string; length: number; of: string[] }[] = [];
  for (const address of [...addresses].sort(compareAddresses)) {
    const last = found.at(-1);
    if (last && inNetwork(address, last.base, last.length)) last.of.push(address);
    else {
      const length = address.includes(":") ? six : four;
      found.push({ base: address, length, text: `${address}/${length}`, of: [address] });
    }
  }
  return found;
}

/** 10.0.0.9 before 10.0.0.10. */
export function compareAddresses(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}

function groupBy<T>(list: Iterable<T>, keyOf: (one: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const one of list) {
    const key = keyOf(one);
    const known = groups.get(key);
    if (known) known.push(one);
    else groups.set(key, [one]);
  }
  return groups;
}

function add(a: number | null, b: number | null): number | null {
  return a === null ? b : b === null ? a : a + b;
}

/** The edges that a node's packets take: what to bring out while it is looked at. */
export function edgesAbout(graph: Graph, key: string): ReadonlySet<string> {
  const node = graph.nodes.find((one) => one.key === key);
  if (!node) return new Set();
  const own = new Set(node.serviceIds);
  const isFarSide = (edge: GraphEdge) => edge.from.startsWith("server:") || edge.to.startsWith("server:") || isPool(edge);
  const touches = (edge: GraphEdge) => edge.from === key || edge.to === key;
  return new Set(
    graph.edges
      .filter((edge) => edge.serviceIds.some((id) => own.has(id)))
      .filter((edge) => touches(edge) || node.layer !== "server" || !isFarSide(edge))
      .map((edge) => edge.key),
  );
}

function isPool({ from, to }: GraphEdge): boolean {
  return [from, to].some((key) => key.startsWith("pool:") || key.startsWith("net:server:"));
}
