import type { Database } from "@trigon/db";
import type { AgentCounters, Counters, FleetCountersView, PathView, ServiceCountersView } from "@trigon/model";
import type { StoredService } from "./fleet-rows.ts";
import type { FleetState } from "./fleet-state.ts";
import { pathViews } from "./path-views.ts";

interface Sample {
  counters: AgentCounters;
  at: number;
}
interface Pair {
  latest: Sample;
  previous: Sample | null;
}

export interface CountersOptions {
  db: Database;
  now: () => number;
  /** A reader looks at figures. */
  onLook?: () => void;
}

/** A node's samples are written at most this often; what this replica heard itself is always newest in memory. */
const saveMs = 4_000;
/** How often a reader makes this replica look for what others heard. */
const lookMs = 1_500;
/** A busy node counts less often; only after so long it says nothing of its paths. */
const silentMs = 90_000;
/** A sample older than this says nothing of now. */
const staleMs = 30_000;

const none: Counters = { connections: 0, inPackets: 0, outPackets: 0, inBytes: 0, outBytes: 0 };
const noRates = { connectionsPerSecond: null, inBytesPerSecond: null, outBytesPerSecond: null };

/** The nodes' two newest counter samples, and views of them by service. Counters never wake anything. */
export class CounterStore {
  readonly #options: CountersOptions;
  readonly #pairs = new Map<string, Pair>();
  readonly #savedAt = new Map<string, number>();
  #lookedAt = 0;

  constructor(options: CountersOptions) {
    this.#options = options;
  }

  /** A sample as a node sent it; the node's clock is not trusted for rates. */
  async accept(nodeId: string, counters: AgentCounters): Promise<void> {
    const { db, now } = this.#options;
    const latest = { counters, at: now() };
    const previous = this.#pairs.get(nodeId)?.latest ?? null;
    this.#pairs.set(nodeId, { latest, previous });
    if (now() - (this.#savedAt.get(nodeId) ?? 0) < saveMs) return;
    this.#savedAt.set(nodeId, now());
    const [latestText, previousText] = [JSON.stringify(counters), previous ? JSON.stringify(previous.counters) : null];
    const timeOf = (at: number) => new Date(at).toISOString().slice(0, -1); // the column has no time zone
    const [latestAt, previousAt] = [timeOf(latest.at), previous ? timeOf(previous.at) : null];
    // As text: a large director's counters are a megabyte, of which Prisma would look at every member.
    await db.prisma.$executeRaw`
      INSERT INTO "nodeCounters" ("nodeId", latest, "latestAt", previous, "previousAt")
      VALUES (${nodeId}, ${latestText}::jsonb, ${latestAt}::timestamp, ${previousText}::jsonb, ${previousAt}::timestamp)
      ON CONFLICT ("nodeId") DO UPDATE SET latest = excluded.latest, "latestAt" = excluded."latestAt",
        previous = excluded.previous, "previousAt" = excluded."previousAt"`;
  }

  /** Takes in what other replicas heard. */
  async look(): Promise<void> {
    const { db, now, onLook } = this.#options;
    onLook?.();
    if (now() - this.#lookedAt < lookMs) return;
    const since = new Date(this.#lookedAt === 0 ? 0 : this.#lookedAt - 2 * saveMs);
    this.#lookedAt = now();
    const heads = await db.prisma.nodeCounters.findMany({
      where: { latestAt: { gt: since } },
      select: { nodeId: true, latestAt: true },
    });
    const foreign = heads.filter(({ nodeId, latestAt }) => (this.#pairs.get(nodeId)?.latest.at ?? 0) < latestAt.getTime());
    if (foreign.length === 0) return;
    const rows = await db.prisma.nodeCounters.findMany({ where: { nodeId: { in: foreign.map(({ nodeId }) => nodeId) } } });
    for (const row of rows) {
      const mine = this.#pairs.get(row.nodeId);
      if (mine && mine.latest.at >= row.latestAt.getTime()) continue;
      this.#pairs.set(row.nodeId, {
        latest: { counters: row.latest as unknown as AgentCounters, at: row.latestAt.getTime() },
        previous:
          row.previous && row.previousAt
            ? { counters: row.previous as unknown as AgentCounters, at: row.previousAt.getTime() }
            : null,
      });
    }
  }

  /** The counters of these services (all, when undefined). `nodeOf` names the enrolled node that owns a real server. */
  views(
    state: FleetState,
    serviceIds: readonly string[] | undefined,
    nodeOf: (realServer: { rip: string; nodeId: string | null }) => string | undefined,
  ): ServiceCountersView[] {
    const wanted = new Set(serviceIds ?? state.liveServices().map(({ id }) => id));
    return [...wanted].flatMap((serviceId) => {
      const service = state.services.get(serviceId);
      if (!service || service.deletedAt) return [];
      const view = this.#view(serviceId, service.spec.realServers, this.#partsOf(serviceId), nodeOf);
      const paths = new Map(this.paths(state, service, nodeOf).map((path) => [path.realServerId, path]));
      return [{ ...view, realServers: view.realServers.map((one) => ({ ...one, path: paths.get(one.realServerId)! })) }];
    });
  }

  /** The verdicts on the real paths of a service. */
  paths(
    state: FleetState,
    service: StoredService,
    nodeOf: (realServer: { rip: string; nodeId: string | null }) => string | undefined,
  ): PathView[] {
    const heard = (nodeId: string) => {
      const latest = this.#pairs.get(nodeId)?.latest;
      return latest && this.#options.now() - latest.at <= silentMs ? latest : undefined;
    };
    return pathViews({ state, service, heard, nodeOf });
  }

  /** What directors and real servers last said of one service. */
  #partsOf(serviceId: string): Parts {
    const parts: Parts = { director: [], replies: new Map(), drains: new Map() };
    for (const { nodeId, at, now, before, seconds } of this.#lately()) {
      const counted = now.services.get(serviceId);
      if (counted) parts.director.push({ at, now: counted, before: before?.services.get(serviceId), seconds });
      for (const { realServerId, serviceId: _, ...drain } of now.drains.get(serviceId) ?? [])
        parts.drains.set(realServerId, drain);
      const bytes = now.replies.get(serviceId);
      if (bytes !== undefined)
        parts.replies.set(nodeId, { bytes, perSecond: rate(bytes, before?.replies.get(serviceId), seconds) });
    }
    return parts;
  }

  /** The nodes that were heard of lately. */
  *#lately() {
    for (const [nodeId, pair] of this.#pairs) {
      if (this.#options.now() - pair.latest.at > staleMs) continue;
      const before = sameLife(pair) ? pair.previous : null;
      yield {
        nodeId,
        at: pair.latest.at,
        now: indexOf(pair.latest.counters),
        before: before ? indexOf(before.counters) : null,
        seconds: before ? (pair.latest.at - before.at) / 1000 : 0,
      };
    }
  }

  /** What all services move together. */
  fleet(): FleetCountersView {
    let connections = 0;
    const parts: ServiceCountersView["rates"][] = [];
    const replies: (number | null)[] = [];
    for (const { now, before, seconds } of this.#lately()) {
      let [own, any] = [{ connectionsPerSecond: 0, inBytesPerSecond: 0, outBytesPerSecond: 0 }, false];
      for (const [serviceId, { counters }] of now.services) {
        connections += counters.connections;
        const one = rates(counters, before?.services.get(serviceId)?.counters, seconds);
        if (one.connectionsPerSecond === null || one.inBytesPerSecond === null || one.outBytesPerSecond === null) continue;
        any = true;
        own = {
          connectionsPerSecond: own.connectionsPerSecond + one.connectionsPerSecond,
          inBytesPerSecond: own.inBytesPerSecond + one.inBytesPerSecond,
          outBytesPerSecond: own.outBytesPerSecond + one.outBytesPerSecond,
        };
      }
      if (any) parts.push(own);
      for (const [serviceId, bytes] of now.replies) replies.push(rate(bytes, before?.replies.get(serviceId), seconds));
    }
    return { connections, rates: addRates(parts), replyBytesPerSecond: total(replies) };
  }

  /** New connections a second of each service that was counted twice. */
  connectionRates(): Map<string, number> {
    const found = new Map<string, number>();
    for (const { now, before, seconds } of this.#lately()) {
      for (const [serviceId, { counters }] of now.services) {
        const one = rate(counters.connections, before?.services.get(serviceId)?.counters.connections, seconds);
        if (one !== null) found.set(serviceId, (found.get(serviceId) ?? 0) + one);
      }
    }
    return found;
  }

  #view(
    serviceId: string,
    realServers: readonly { id: string; rip: string; nodeId: string | null }[],
    { director, replies, drains }: Parts,
    nodeOf: (realServer: { rip: string; nodeId: string | null }) => string | undefined,
  ): ServiceFigures {
    const owners = realServers.map((server) => nodeOf(server));
    return {
      serviceId,
      at: director.length === 0 ? null : new Date(Math.max(...director.map(({ at }) => at))).toISOString(),
      totals: sum(director.map(({ now }) => now.counters)),
      rates: addRates(director.map(({ now, before, seconds }) => rates(now.counters, before?.counters, seconds))),
      replyBytes: total([...replies.values()].map(({ bytes }) => bytes)),
      replyBytesPerSecond: total([...replies.values()].map(({ perSecond }) => perSecond)),
      realServers: realServers.map(({ id }, at) => {
        const owner = owners[at];
        const found = director.flatMap(({ now, before, seconds }) => {
          const destination = now.destinations.find((one) => one.realServerId === id);
          return destination ? [{ destination, old: before?.destinations.find((one) => one.realServerId === id), seconds }] : [];
        });
        // A node that serves it on several addresses sends one figure for all: it belongs to none of them alone.
        const reply = owner && owners.filter((one) => one === owner).length === 1 ? replies.get(owner) : undefined;
        return {
          realServerId: id,
          active: found.reduce((all, { destination }) => all + destination.active, 0),
          inactive: found.reduce((all, { destination }) => all + destination.inactive, 0),
          weight: found[0]?.destination.weight ?? null,
          totals: sum(found.map(({ destination }) => destination.counters)),
          rates: addRates(found.map(({ destination, old, seconds }) => rates(destination.counters, old?.counters, seconds))),
          replyBytes: reply?.bytes ?? null,
          replyBytesPerSecond: reply?.perSecond ?? null,
          drain: drains.get(id) ?? null,
        };
      }),
    };
  }
}

/** A view but for its paths. */
type ServiceFigures = Omit<ServiceCountersView, "realServers"> & {
  realServers: Omit<ServiceCountersView["realServers"][number], "path">[];
};

interface Parts {
  director: {
    at: number;
    now: AgentCounters["services"][number];
    before: AgentCounters["services"][number] | undefined;
    seconds: number;
  }[];
  replies: Map<string, { bytes: number; perSecond: number | null }>;
  /** By real server. */
  drains: Map<string, NonNullable<ServiceCountersView["realServers"][number]["drain"]>>;
}

/** A sample by service. */
interface SampleIndex {
  services: Map<string, AgentCounters["services"][number]>;
  replies: Map<string, number>;
  drains: Map<string, NonNullable<AgentCounters["drains"]>>;
}

/** A sample is looked at by every reader, for the services that it shows. */
const indexes = new WeakMap<AgentCounters, SampleIndex>();

function indexOf(counters: AgentCounters): SampleIndex {
  const known = indexes.get(counters);
  if (known) return known;
  const index: SampleIndex = {
    services: new Map(counters.services.map((service) => [service.serviceId, service])),
    replies: new Map(counters.replies.map(({ serviceId, bytes }) => [serviceId, bytes])),
    drains: new Map(),
  };
  for (const drain of counters.drains ?? [])
    index.drains.set(drain.serviceId, [...(index.drains.get(drain.serviceId) ?? []), drain]);
  indexes.set(counters, index);
  return index;
}

function sameLife({ latest, previous }: Pair): boolean {
  return previous?.counters.bootId === latest.counters.bootId && previous.counters.runId === latest.counters.runId;
}

/** Per second; null without an earlier value, or when the counter went back because its object was made anew. */
function rate(now: number, before: number | undefined, seconds: number): number | null {
  return before === undefined || seconds <= 0 || now < before ? null : (now - before) / seconds;
}

function rates(now: Counters, before: Counters | undefined, seconds: number): ServiceCountersView["rates"] {
  return {
    connectionsPerSecond: rate(now.connections, before?.connections, seconds),
    inBytesPerSecond: rate(now.inBytes, before?.inBytes, seconds),
    outBytesPerSecond: rate(now.outBytes, before?.outBytes, seconds),
  };
}

function total(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((all, value) => all + value, 0);
}

function addRates(parts: readonly ServiceCountersView["rates"][]): ServiceCountersView["rates"] {
  if (parts.length === 0) return noRates;
  return {
    connectionsPerSecond: total(parts.map((part) => part.connectionsPerSecond)),
    inBytesPerSecond: total(parts.map((part) => part.inBytesPerSecond)),
    outBytesPerSecond: total(parts.map((part) => part.outBytesPerSecond)),
  };
}

function sum(all: readonly Counters[]): Counters {
  const add = (a: Counters, b: Counters): Counters => ({
    connections: a.connections + b.connections,
    inPackets: a.inPackets + b.inPackets,
    outPackets: a.outPackets + b.outPackets,
    inBytes: a.inBytes + b.inBytes,
    outBytes: a.outBytes + b.outBytes,
  });
  return all.reduce(add, none);
}
