import { randomUUID } from "node:crypto";
import { type Database, Prisma } from "@trigon/db";
import type { AgentCounters, SparklinesView, StatisticsRange, StatisticsView } from "@trigon/model";
import { boundBytesEach, type Ring, rings, slotsOf } from "./statistics-rings.ts";
import { addTraffic, type Heard, noTraffic, spread, type Traffic, trafficBetween, trafficFields } from "./traffic-deltas.ts";

export const fleetSeries = "fleet";

/** What moved is written this often, for all services at once. */
const flushMs = 10_000;
/** While the database is away, so many flushes are kept; after that there is a gap. */
const keptFlushes = 30;
/** Sparklines show so many slots of the finest ring. */
const sparkSlots = 60;
/** A slot of which less is known is a gap. */
const knownShare = 0.2;

interface Pending {
  /** The batch of this replica in which the node's traffic was last added. */
  after: string | undefined;
  /** By series, then by slot of the finest ring. */
  series: Map<string, Map<number, Traffic>>;
  failures: number;
}

interface Row extends Traffic {
  series: string;
  stepSeconds: number;
  atMs: number;
}

export interface StatisticsOptions {
  db: Database;
  /** Time of day in milliseconds; it may be set. */
  now: () => number;
  /** Milliseconds that never step. */
  steady: () => number;
  log: (line: string) => void;
}

/** What services and the fleet moved, from nodes' counters into rings in Postgres. */
export class Statistics {
  readonly #options: StatisticsOptions;
  readonly #replica = randomUUID();
  readonly #heard = new Map<string, Heard>();
  readonly #batches = new Map<string, string>();
  #pending = new Map<string, Pending>();
  #batch = 0;
  #flushing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: StatisticsOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.flush()
        .catch((error: Error) => this.#options.log(`statistics wait: ${error.message}`))
        .finally(() => this.start());
    }, flushMs);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.flush().catch(() => undefined);
  }

  /** A node's counters as they arrive. */
  accept(nodeId: string, counters: AgentCounters): void {
    const now: Heard = { counters, steadyMs: this.#options.steady(), wallMs: this.#options.now() };
    const before = this.#heard.get(nodeId);
    this.#heard.set(nodeId, now);
    const moved = before && trafficBetween(before, now);
    const pending = this.#pendingOf(nodeId);
    if (!moved) return;
    const add = (series: string, traffic: Traffic) => {
      const slots = pending.series.get(series) ?? new Map<number, Traffic>();
      pending.series.set(series, slots);
      for (const [slot, part] of spread(traffic, moved.fromMs, moved.untilMs, rings["1h"].stepSeconds * 1000)) {
        slots.set(slot, addTraffic(slots.get(slot) ?? noTraffic, part));
      }
    };
    if (moved.director) add(nodeId, moved.director);
    let all: Traffic = { ...noTraffic };
    for (const [serviceId, traffic] of moved.services) {
      add(serviceId, traffic);
      all = addTraffic(all, { ...traffic, missingMs: 0 });
    }
    add(fleetSeries, all);
  }

  #pendingOf(nodeId: string): Pending {
    let pending = this.#pending.get(nodeId);
    if (!pending) {
      pending = { after: this.#batches.get(nodeId), series: new Map(), failures: 0 };
      this.#pending.set(nodeId, pending);
    }
    return pending;
  }

  /** Writes what has gathered. */
  async flush(): Promise<void> {
    await this.#flushing?.catch(() => undefined);
    this.#flushing = this.#write().finally(() => {
      this.#flushing = undefined;
    });
    await this.#flushing;
  }

  async #write(): Promise<void> {
    const taken = this.#pending;
    if (taken.size === 0) return;
    this.#pending = new Map();
    const batch = `${this.#replica} ${++this.#batch}`;
    for (const nodeId of taken.keys()) this.#batches.set(nodeId, batch);
    try {
      await this.#options.db.prisma.$transaction(
        async (tx) => {
          const nodeIds = [...taken.keys()].sort();
          const cursors = await tx.$queryRaw<{ nodeId: string; batch: string }[]>`
            SELECT "nodeId", batch FROM "statisticsCursor" WHERE "nodeId" = ANY (${nodeIds}) ORDER BY "nodeId" FOR UPDATE`;
          // Where another replica added in between, some of this may be in what it added.
          const added = cursors.filter(({ nodeId, batch: last }) => taken.get(nodeId)!.after === last);
          await tx.$executeRaw`
            INSERT INTO "statisticsCursor" ("nodeId", batch) SELECT id, ${batch} FROM node WHERE id = ANY (${nodeIds}) ORDER BY id
            ON CONFLICT ("nodeId") DO UPDATE SET batch = excluded.batch`;
          const rows = rowsOf(added.map(({ nodeId }) => taken.get(nodeId)!));
          if (rows.length > 0) await tx.$executeRaw(upsert(rows));
        },
        { maxWait: 5000, timeout: 20_000 },
      );
    } catch (error) {
      this.#putBack(taken);
      throw error;
    }
  }

  /** It may have been written and only the answer been lost: then the cursor moved on, and none of this is added again. */
  #putBack(taken: ReadonlyMap<string, Pending>): void {
    for (const [nodeId, { after, series, failures }] of taken) {
      const pending = this.#pendingOf(nodeId);
      if (failures >= keptFlushes) continue;
      pending.after = after;
      pending.failures = failures + 1;
      for (const [name, slots] of series) {
        const mine = pending.series.get(name) ?? new Map<number, Traffic>();
        pending.series.set(name, mine);
        for (const [slot, traffic] of slots) mine.set(slot, addTraffic(mine.get(slot) ?? noTraffic, traffic));
      }
    }
  }

  /** The rates of a series, where directors counted them. */
  async rates(
    series: string,
    range: StatisticsRange,
    directors: readonly string[],
  ): Promise<Omit<StatisticsView, "outCountedBy">> {
    const ring = rings[range];
    const slots = slotsOf(ring, this.#options.now());
    const rows = await this.#read([series, ...directors], ring, slots[0]!);
    const covered = coverage(rows, directors);
    const own = new Map(rows.filter((row) => row.series === series).map((row) => [row.atMs, row]));
    const points = (pick: (traffic: Traffic) => number) =>
      slots.map((slot) => rateOf(own.get(slot), covered.get(slot), ring, pick));
    return {
      range,
      stepSeconds: ring.stepSeconds,
      from: new Date(slots[0]!).toISOString(),
      connectionsPerSecond: points(({ connections }) => connections),
      inPacketsPerSecond: points(({ inPackets }) => inPackets),
      outPacketsPerSecond: points(({ outPackets, replyPackets }) => outPackets + replyPackets),
      inBytesPerSecond: points(({ inBytes }) => inBytes),
      outBytesPerSecond: points(({ outBytes, replyBytes }) => outBytes + replyBytes),
    };
  }

  /** The last minutes of several services, each counted by its directors. */
  async sparklines(directorsOf: ReadonlyMap<string, readonly string[]>): Promise<SparklinesView> {
    const ring = rings["1h"];
    const slots = slotsOf(ring, this.#options.now()).slice(-sparkSlots);
    const directors = new Set([...directorsOf.values()].flat());
    const rows = await this.#read([...directorsOf.keys(), ...directors], ring, slots[0]!);
    const bySeries = new Map<string, Row[]>();
    for (const row of rows) bySeries.set(row.series, [...(bySeries.get(row.series) ?? []), row]);
    return {
      stepSeconds: ring.stepSeconds,
      from: new Date(slots[0]!).toISOString(),
      services: [...directorsOf].map(([serviceId, ids]) => {
        const covered = coverage(
          ids.flatMap((id) => bySeries.get(id) ?? []),
          ids,
        );
        const own = new Map(bySeries.get(serviceId)?.map((row) => [row.atMs, row]));
        const both = ({ inBytes, outBytes, replyBytes }: Traffic) => inBytes + outBytes + replyBytes;
        return { serviceId, bytesPerSecond: slots.map((slot) => rateOf(own.get(slot), covered.get(slot), ring, both)) };
      }),
    };
  }

  async #read(series: readonly string[], { stepSeconds, slots }: Ring, fromMs: number): Promise<Row[]> {
    const names = [...new Set(series)];
    const rows = await this.#options.db.prisma.statistics.findMany({
      // The numbers in the ring are named, too, so that a read of few slots is one of few.
      where: { series: { in: names }, stepSeconds, ring: { in: ringsFrom(fromMs, stepSeconds, slots, this.#options.now()) } },
    });
    return rows
      .filter(({ at }) => at.getTime() >= fromMs)
      .map((row) => ({
        ...(Object.fromEntries(trafficFields.map((field) => [field, Number(row[field])])) as unknown as Traffic),
        series: row.series,
        stepSeconds,
        atMs: row.at.getTime(),
      }));
  }

  /** What it takes in the database, and the most it can take for so many series. */
  async storage(services: number, directors: number) {
    const [row] = await this.#options.db.prisma.$queryRaw<{ bytes: bigint }[]>`
      SELECT pg_total_relation_size('"statistics"') + pg_total_relation_size('"statisticsCursor"') AS bytes`;
    return {
      bytes: Number(row?.bytes ?? 0),
      services,
      directors,
      boundBytes: (services + directors + 1) * boundBytesEach,
      boundBytesEach,
      rings: Object.values(rings),
    };
  }

  /** Forgets services and nodes that are no more, as soon as no range shows them. */
  async prune(): Promise<void> {
    const { db, now } = this.#options;
    const { stepSeconds, slots } = rings["30d"];
    await db.prisma.statistics.deleteMany({ where: { at: { lt: new Date(now() - stepSeconds * slots * 1000) } } });
  }
}

function ringsFrom(fromMs: number, stepSeconds: number, slots: number, nowMs: number): number[] {
  const first = Math.floor(fromMs / 1000 / stepSeconds);
  const last = Math.floor(nowMs / 1000 / stepSeconds);
  return Array.from({ length: last - first + 1 }, (_, index) => (first + index) % slots);
}

/** By slot: how long the director that knows most of it counted. */
function coverage(rows: readonly Row[], directors: readonly string[]): Map<number, number> {
  const ids = new Set(directors);
  const covered = new Map<number, number>();
  for (const { series, atMs, coveredMs } of rows) {
    if (ids.has(series)) covered.set(atMs, Math.max(covered.get(atMs) ?? 0, coveredMs));
  }
  return covered;
}

/** Per second of what is known of a slot; null where too little is. */
function rateOf(
  row: Traffic | undefined,
  coveredMs: number | undefined,
  ring: Ring,
  pick: (traffic: Traffic) => number,
): number | null {
  const knownMs = (coveredMs ?? 0) - (row?.missingMs ?? 0);
  if (knownMs < ring.stepSeconds * 1000 * knownShare) return null;
  return row ? pick(row) / (knownMs / 1000) : 0;
}

/** Every ring's rows of what gathered: what two nodes counted of one service adds up. */
function rowsOf(pendings: readonly Pending[]): Row[] {
  const rows = new Map<string, Row>();
  for (const { series } of pendings) {
    for (const [name, slots] of series) {
      for (const [slot, traffic] of slots) {
        if (trafficFields.every((field) => traffic[field] === 0)) continue;
        for (const { stepSeconds } of Object.values(rings)) {
          const atMs = Math.floor(slot / (stepSeconds * 1000)) * stepSeconds * 1000;
          const key = `${name} ${stepSeconds} ${atMs}`;
          const sum = addTraffic(rows.get(key) ?? noTraffic, traffic);
          rows.set(key, { ...sum, series: name, stepSeconds, atMs });
        }
      }
    }
  }
  // In one order everywhere, so that replicas wait for each other and never in a circle; the oldest slot of a ring's place first.
  return [...rows.values()].sort((a, b) => (a.series < b.series ? -1 : a.series > b.series ? 1 : a.atMs - b.atMs));
}

function upsert(rows: readonly Row[]): Prisma.Sql {
  const slots = new Map(Object.values(rings).map((ring) => [ring.stepSeconds, ring.slots]));
  const newest = new Map<string, Record<string, unknown>>();
  for (const { atMs, ...row } of rows) {
    const ring = Math.floor(atMs / 1000 / row.stepSeconds) % slots.get(row.stepSeconds)!;
    newest.set(`${row.series} ${row.stepSeconds} ${ring}`, { ...row, ring, at: new Date(atMs).toISOString().slice(0, -1) });
  }
  const columns = Prisma.raw(trafficFields.map((field) => `"${field}"`).join(", "));
  const types = Prisma.raw(trafficFields.map((field) => `"${field}" ${field.endsWith("Ms") ? "integer" : "bigint"}`).join(", "));
  const sums = Prisma.raw(
    trafficFields
      .map((field) => `"${field}" = excluded."${field}" + CASE WHEN last.at = excluded.at THEN last."${field}" ELSE 0 END`)
      .join(", "),
  );
  return Prisma.sql`
    INSERT INTO "statistics" AS last (series, "stepSeconds", ring, at, ${columns})
    SELECT series, "stepSeconds", ring, at, ${columns} FROM jsonb_to_recordset(${JSON.stringify([...newest.values()])}::jsonb)
      AS given(series text, "stepSeconds" integer, ring integer, at timestamp, ${types})
    ON CONFLICT (series, "stepSeconds", ring) DO UPDATE SET at = excluded.at, ${sums}`;
}
