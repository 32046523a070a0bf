import { compareAddresses, type Graph, type GraphEdge, type GraphNode, isDirect, type Layer, layers } from "./graph.ts";

export interface Box {
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface DrawnEdge extends GraphEdge {
  /** An SVG path, in pixels of the picture. */
  path: string;
  /** Of the stroke, by traffic. */
  width: number;
}

export interface Picture {
  width: number;
  height: number;
  boxes: Map<string, Box>;
  /** The nodes of each column, from the top. */
  columns: Record<Layer, GraphNode[]>;
  edges: DrawnEdge[];
  /** The way that all replies past the director take together; null: there are none. */
  trunk: { path: string; width: number; bytesPerSecond: number | null; label: { x: number; y: number } } | null;
}

const widths: Record<Layer, number> = { client: 104, service: 196, director: 152, server: 196 };
const gap = 12;
const top = 34;
const railRoom = 64;
const cornerRadius = 22;
const narrowest = 1.4;
const widest = 8;
/** A dot of a collapsed node, with the room around it. */
export const dotPitch = 9;
const dotsInRow = 19;

/** Where everything stands. Pure: the same graph and width, the same picture. `width` is what there is room for; never less than 760. */
export function layout(graph: Graph, width: number): Picture {
  const wide = Math.max(760, Math.round(width));
  const columns = ordered(graph);
  const ends = endsByNode(graph);
  const direct = graph.edges.filter(({ kind }) => kind === "direct");
  const heights = new Map(graph.nodes.map((node) => [node.key, heightOf(node, ends)]));
  const tallness = (layer: Layer) => columns[layer].reduce((sum, { key }) => sum + heights.get(key)! + gap, -gap);
  const tallest = Math.max(180, ...layers.map(tallness));
  const room = wide - 2 - (direct.length > 0 ? railRoom : 0) - layers.reduce((sum, layer) => sum + widths[layer], 0);
  const between = room / (layers.length - 1);
  const boxes = new Map<string, Box>();
  let x = 1;
  for (const layer of layers) {
    let y = top + (tallest - tallness(layer)) / 2;
    for (const { key } of columns[layer]) {
      const h = heights.get(key)!;
      boxes.set(key, { x: Math.round(x), y: Math.round(y), w: widths[layer], h });
      y += h + gap;
    }
    x += widths[layer] + between;
  }
  const bottom = top + tallest;
  const most = Math.max(1, ...graph.edges.map(({ bytesPerSecond }) => bytesPerSecond ?? 0));
  const total = direct.reduce<number | null>((sum, { bytesPerSecond }) => addKnown(sum, bytesPerSecond), null);
  const thickness = (bytes: number | null) => narrowest + (widest - narrowest) * Math.sqrt(Math.min(1, (bytes ?? 0) / most));
  const ports = portsOf(graph, boxes);
  const rail = wide - 12;
  const edges = graph.edges.map((edge): DrawnEdge => {
    const from = boxes.get(edge.from)!;
    const to = boxes.get(edge.to)!;
    const start = ports.get(`${edge.key} from`)!;
    const end = ports.get(`${edge.key} to`)!;
    const width = thickness(edge.bytesPerSecond);
    if (edge.kind === "direct") return { ...edge, width, path: feeder(from.x + from.w, start, rail) };
    return edge.kind === "request"
      ? { ...edge, width, path: curve(from.x + from.w, start, to.x - 3, end) }
      : { ...edge, width, path: curve(from.x, start, to.x + to.w + 3, end) };
  });
  const client = boxes.get("client");
  const feeders = direct.map(({ key }) => ports.get(`${key} from`)!);
  const floor = bottom + 30;
  const trunk =
    client && feeders.length > 0
      ? {
          path: trunkPath(rail, Math.min(...feeders) + cornerRadius, floor, client),
          width: thickness(total),
          bytesPerSecond: total,
          label: { x: Math.round((client.x + client.w + rail) / 2), y: floor - 8 },
        }
      : null;
  return { width: wide, height: trunk ? floor + 14 : bottom + 6, boxes, columns, edges, trunk };
}

/**
 * The order in each column. Services stand by their director, those with replies past it at the bottom, where that way runs; real servers
 * stand beside the directors and services that send to them (the barycentre of their places), which leaves few crossings.
 */
function ordered(graph: Graph): Record<Layer, GraphNode[]> {
  const of = (layer: Layer) => graph.nodes.filter((node) => node.layer === layer);
  const directors = of("director").sort((a, b) => Number(a.serviceIds.length === 0) - Number(b.serviceIds.length === 0));
  const placeOfDirector = new Map(directors.map(({ key }, at) => [key, at]));
  const sum = new Map<string, { director: number; direct: number }>();
  for (const { from, to, kind, forwarding } of graph.edges)
    if (kind === "request" && placeOfDirector.has(to))
      sum.set(from, { director: placeOfDirector.get(to)!, direct: Number(isDirect(forwarding)) });
  const services = of("service").sort(
    (a, b) =>
      (sum.get(a.key)?.director ?? 0) - (sum.get(b.key)?.director ?? 0) ||
      (sum.get(a.key)?.direct ?? 0) - (sum.get(b.key)?.direct ?? 0) ||
      compareAddresses(a.note, b.note),
  );
  const placeOfService = new Map(services.flatMap(({ serviceIds }, at) => serviceIds.map((id) => [id, at] as const)));
  const senders = new Map<string, number[]>();
  for (const { from, to, kind } of graph.edges)
    if (kind === "request" && placeOfDirector.has(from))
      senders.set(to, [...(senders.get(to) ?? []), placeOfDirector.get(from)!]);
  const servers = of("server")
    .map((node) => ({
      node,
      director: mean(senders.get(node.key) ?? []),
      service: mean(node.serviceIds.map((id) => placeOfService.get(id) ?? 0)),
    }))
    .sort((a, b) => a.director - b.director || a.service - b.service || compareAddresses(addressOf(a.node), addressOf(b.node)))
    .map(({ node }) => node);
  return { client: of("client"), service: services, director: directors, server: servers };
}

function addressOf({ note, label }: GraphNode): string {
  return note || label;
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** How many edges end at the fuller side of each node. */
function endsByNode(graph: Graph): Map<string, number> {
  const sides = new Map<string, number>();
  for (const edge of graph.edges) {
    for (const [key, side] of sidesOf(edge)) sides.set(`${key} ${side}`, (sides.get(`${key} ${side}`) ?? 0) + 1);
  }
  return new Map(
    graph.nodes.map(({ key }) => [key, Math.max(sides.get(`${key} left`) ?? 0, sides.get(`${key} right`) ?? 0)] as const),
  );
}

type Side = "left" | "right" | "rail";

function sidesOf({ from, to, kind }: GraphEdge): [string, Side][] {
  if (kind === "direct") return [[from, "rail"]];
  return kind === "request"
    ? [
        [from, "right"],
        [to, "left"],
      ]
    : [
        [from, "left"],
        [to, "right"],
      ];
}

function heightOf(node: GraphNode, ends: ReadonlyMap<string, number>): number {
  if (node.layer === "client") return Math.max(76, Math.min(260, (ends.get(node.key) ?? 0) * 9 + 24));
  if (node.layer === "director") return Math.max(64, Math.min(320, (ends.get(node.key) ?? 0) * 9 + 24));
  return node.members.length > 0 ? 48 + Math.ceil(node.members.length / dotsInRow) * dotPitch : 42;
}

/** The height at which each edge leaves and arrives: along a side in the order of the other ends, so that they do not cross there. */
function portsOf(graph: Graph, boxes: ReadonlyMap<string, Box>): Map<string, number> {
  const sides = new Map<string, { id: string; other: number; isReply: boolean }[]>();
  const middle = (key: string) => boxes.get(key)!.y + boxes.get(key)!.h / 2;
  const put = (key: string, side: Side, id: string, other: string, isReply: boolean) => {
    const list = sides.get(`${side} ${key}`) ?? [];
    list.push({ id, other: middle(other), isReply });
    sides.set(`${side} ${key}`, list);
  };
  for (const edge of graph.edges) {
    const [first, second] = sidesOf(edge);
    put(first![0], first![1], `${edge.key} from`, edge.to, edge.kind === "reply");
    if (second) put(second[0], second[1], `${edge.key} to`, edge.from, edge.kind === "reply");
  }
  const ports = new Map<string, number>();
  for (const [name, list] of sides) {
    const box = boxes.get(name.slice(name.indexOf(" ") + 1))!;
    list.sort((a, b) => a.other - b.other || Number(a.isReply) - Number(b.isReply));
    const step = Math.min(11, (box.h - 16) / Math.max(1, list.length - 1));
    list.forEach(({ id }, at) => {
      ports.set(id, Math.round((box.y + box.h / 2 + (at - (list.length - 1) / 2) * step) * 10) / 10);
    });
  }
  return ports;
}

function curve(x1: number, y1: number, x2: number, y2: number): string {
  const bend = (x2 - x1) / 2;
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
}

/** From a real server into the common way on the right. */
function feeder(x: number, y: number, rail: number): string {
  const r = Math.min(cornerRadius, rail - x - 2);
  return `M${x} ${y}H${rail - r}Q${rail} ${y} ${rail} ${y + r}`;
}

/** Down on the right, along the floor, and up to the clients. */
function trunkPath(rail: number, from: number, floor: number, client: Box): string {
  const r = cornerRadius;
  const end = client.x + client.w / 2;
  return `M${rail} ${from}V${floor - r}Q${rail} ${floor} ${rail - r} ${floor}H${end + r}Q${end} ${floor} ${end} ${floor - r}V${client.y + client.h + 4}`;
}

function addKnown(a: number | null, b: number | null): number | null {
  return a === null ? b : b === null ? a : a + b;
}

/** How many pairs of edges between two neighbouring columns cross, by the order of their ends. */
export function crossings(picture: Picture): number {
  const place = new Map(layers.flatMap((layer) => picture.columns[layer].map(({ key }, at) => [key, { layer, at }] as const)));
  let count = 0;
  const edges = picture.edges.filter(({ kind }) => kind === "request").map(({ from, to }) => [place.get(from)!, place.get(to)!]);
  for (const [index, [a, b]] of edges.entries()) {
    for (const [c, d] of edges.slice(index + 1)) {
      if (a!.layer === c!.layer && (a!.at - c!.at) * (b!.at - d!.at) < 0) count++;
    }
  }
  return count;
}
