import {
  type AgentQuestion,
  type ConnectionEntry,
  type ConnectionFilter,
  type ConnectionSortField,
  type ConnectionTable,
  connectionsSampled,
  inNetwork,
} from "@trigon/model";
import type { IpvsConnectionEntry, Kernel } from "@trigon/reconciler";

type ConnectionsQuestion = Extract<AgentQuestion, { what: "connections" }>;

/** Reading ends after so long: the kernel walks its whole table for every page of it. */
const readMostMs = 3_000;

/** The connection table of one service, filtered, sorted and cut here, so that little travels. */
export async function connectionTable(
  kernel: Pick<Kernel, "eachConnection">,
  { service, filter }: ConnectionsQuestion,
  { sampled, mostMs }: { sampled: number; mostMs: number } = { sampled: connectionsSampled, mostMs: readMostMs },
): Promise<ConnectionTable> {
  const lets = filterOf(filter);
  const found: ConnectionEntry[] = [];
  const realServers = new Map<string, ConnectionTable["realServers"][number]>();
  const states = new Map<string, number>();
  let total = 0;
  let isSample = false;
  const until = performance.now() + mostMs;
  await kernel.eachConnection((entry) => {
    if (performance.now() > until) isSample = true;
    else if (isOf(entry, service)) {
      if (total === sampled) isSample = true;
      else {
        total++;
        const one = shown(entry);
        count(one);
        if (lets(one)) found.push(one);
      }
    }
    return isSample ? "enough" : undefined;
  });

  function count({ realServer: { rip, port }, clientPort, state }: ConnectionEntry): void {
    const key = `${rip} ${port}`;
    const of = realServers.get(key) ?? { rip, port, connections: 0, templates: 0 };
    if (clientPort === null) of.templates++;
    else {
      of.connections++;
      states.set(state, (states.get(state) ?? 0) + 1);
    }
    realServers.set(key, of);
  }

  const { field, descending } = filter.sort;
  const order = orders[field];
  found.sort((a, b) => (descending ? -1 : 1) * (order(a, b) || byClient(a, b)));
  return {
    entries: found.slice(0, filter.limit),
    ...{ matched: found.length, total, isSample },
    realServers: [...realServers.values()].sort(
      (a, b) => b.connections - a.connections || compare(a.rip, b.rip) || a.port - b.port,
    ),
    states: [...states].map(([state, number]) => ({ state, count: number })).sort((a, b) => b.count - a.count),
  };
}

/** A service for all ports (0) has the connections of each. */
function isOf(entry: IpvsConnectionEntry, { protocol, vip, port }: ConnectionsQuestion["service"]): boolean {
  return entry.protocol === protocol && entry.address === vip && (port === 0 || entry.port === port);
}

const shown = ({ client, clientPort, destination, state, expiresInSeconds }: IpvsConnectionEntry): ConnectionEntry => ({
  ...{ client, clientPort, state, expiresInSeconds },
  realServer: { rip: destination.address, port: destination.port },
});

function filterOf({
  client,
  realServer,
  realServerPort,
  state,
  templates,
}: ConnectionFilter): (entry: ConnectionEntry) => boolean {
  const [network = "", prefix = ""] = client?.split("/") ?? [];
  return (entry) =>
    (client === undefined || inNetwork(entry.client, network, Number(prefix))) &&
    (realServer === undefined || entry.realServer.rip === realServer) &&
    (realServerPort === undefined || entry.realServer.port === realServerPort) &&
    (state === undefined || (entry.state === state && entry.clientPort !== null)) &&
    (templates === undefined || (entry.clientPort === null) === templates);
}

const numeric = new Intl.Collator("en", { numeric: true });
const compare = (a: string, b: string) => numeric.compare(a, b);
const byClient = (a: ConnectionEntry, b: ConnectionEntry) =>
  compare(a.client, b.client) || (a.clientPort ?? -1) - (b.clientPort ?? -1);

const orders: Record<ConnectionSortField, (a: ConnectionEntry, b: ConnectionEntry) => number> = {
  client: byClient,
  realServer: (a, b) => compare(a.realServer.rip, b.realServer.rip) || a.realServer.port - b.realServer.port,
  state: (a, b) => compare(a.state, b.state),
  expires: (a, b) => a.expiresInSeconds - b.expiresInSeconds,
};
