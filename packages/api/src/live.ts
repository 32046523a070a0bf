import { type Database, Prisma } from "@trigon/db";
import type {
  AgentEvent,
  AgentReport,
  DoctorReport,
  FragmentState,
  GroupReport,
  HealthReport,
  ReportAnswer,
  TableRow,
} from "@trigon/model";
import { reportLimits } from "@trigon/model";
import { enqueue } from "./outbox.ts";

/** What a node last said, whichever replica heard it. */
export interface LiveReport {
  bootId: string;
  runId: string;
  pass: number;
  epoch: number;
  generation: number;
  receivedAt: number;
  fragments: Map<string, FragmentState>;
  /** By fragment, what the director's checks say of its service. */
  health: Map<string, HealthReport>;
  table: { rows: TableRow[]; total: number; at: string } | null;
  events: AgentEvent[];
  doctor: DoctorReport | null;
  /** Its part in groups in mode `vrrp`, by group. */
  groups: Map<string, GroupReport>;
  /** How far the node's clock was behind the controller's when it last reported. */
  skewMs: number;
  /** The least of that over the run's newest reports: what is left when a report took next to no time to come. */
  offsetMs: number;
  skews: readonly number[];
}

interface Presence {
  lastSeenAt: number;
  connectedUntil: number;
  isUnsaved: boolean;
}

export interface LiveOptions {
  db: Database;
  now: () => number;
  /** A report was taken in: which node, and which of its fragments changed. */
  onReport: (nodeId: string, fragmentIds: readonly string[]) => void;
  /** A node appeared or went silent. */
  onPresence: (nodeId: string) => void;
  /** One machine's certificate is used by two agents at a time. */
  onClone: (nodeId: string) => void;
}

/** A node that was not heard of for this long is not connected. */
export const silenceMs = 45_000;
/** How often other replicas' reports are looked for, and presence is written. */
const pollMs = 1_000;
/** Rows committed late are still found: each look goes back this far. */
const overlapMs = 4_000;
/** So many rising passes of a run that another run followed: two machines share one identity. */
const clonePasses = 3;
const keptRuns = 8;

/** The nodes' latest reports in memory, with Postgres behind them. */
export class Live {
  readonly #options: LiveOptions;
  readonly #reports = new Map<string, LiveReport>();
  readonly #presence = new Map<string, Presence>();
  readonly #wasConnected = new Map<string, boolean>();
  readonly #stale = new Map<string, { runId: string; pass: number; times: number }>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #polledAt = 0;

  constructor(options: LiveOptions) {
    this.#options = options;
  }

  report(nodeId: string): LiveReport | undefined {
    return this.#reports.get(nodeId);
  }

  isConnected(nodeId: string): boolean {
    return (this.#presence.get(nodeId)?.connectedUntil ?? 0) > this.#options.now();
  }

  lastSeenAt(nodeId: string): Date | null {
    const at = this.#presence.get(nodeId)?.lastSeenAt;
    return at === undefined ? null : new Date(at);
  }

  connectedCount(): number {
    return [...this.#presence.keys()].filter((nodeId) => this.isConnected(nodeId)).length;
  }

  /** The node was heard of just now: a request, or a stream that still stands. */
  seen(nodeId: string): void {
    const now = this.#options.now();
    this.#presence.set(nodeId, { lastSeenAt: now, connectedUntil: now + silenceMs, isUnsaved: true });
    this.#announcePresence(nodeId);
  }

  /** The node's last stream to this replica ended. */
  left(nodeId: string): void {
    if (!this.#presence.has(nodeId)) return;
    const now = this.#options.now();
    // Other replicas look for what is newer by `lastSeenAt`: its end is the last that was seen of it.
    this.#presence.set(nodeId, { lastSeenAt: now, connectedUntil: now, isUnsaved: true });
    this.#announcePresence(nodeId);
  }

  /** Reads everything once and keeps looking. Failing looks are tried again: the database may be away. */
  async start(): Promise<void> {
    await this.#poll();
    this.#arm();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#savePresence().catch(() => undefined);
  }

  /**
   * Takes a report in when it is newer than the last, by (bootId, runId, pass), decided in SQL so that two replicas agree. A difference
   * that has nothing to stand on is answered with `wantFull`.
   */
  async accept(nodeId: string, report: AgentReport): Promise<ReportAnswer> {
    this.seen(nodeId);
    const { db, now } = this.#options;
    const receivedAt = new Date(now());
    const known = this.#reports.get(nodeId);
    const events = [...(known?.events ?? []), ...report.events].slice(-reportLimits.events);
    const table = report.table ? JSON.stringify(report.table) : null;
    const doctor = report.doctor ? JSON.stringify(report.doctor) : null;
    // A full report without any says that there are none.
    const saidGroups = report.groups ?? (report.full ? [] : undefined);
    const groups = saidGroups ? JSON.stringify(saidGroups) : null;
    const run = `${report.bootId}/${report.runId}`;
    const accepted = await db.prisma.$transaction(async (tx) => {
      const rows = await tx.$queryRaw<{ runs: string[] }[]>(Prisma.sql`
        INSERT INTO "nodeReport" AS last
          ("nodeId", "bootId", "runId", runs, pass, epoch, generation, "table", "tableAt", events, doctor, groups, at, "receivedAt")
        SELECT ${nodeId}, ${report.bootId}, ${report.runId}, ARRAY[${run}], ${report.pass}, ${report.epoch}, ${report.generation},
          ${table}::jsonb, ${table === null ? null : receivedAt}::timestamp, ${JSON.stringify(events)}::jsonb, ${doctor}::jsonb,
          ${groups}::jsonb, ${new Date(report.at)}::timestamp, ${receivedAt}::timestamp
        WHERE ${report.full} OR EXISTS (SELECT FROM "nodeReport" r WHERE r."nodeId" = ${nodeId} AND r.runs[1] = ${run})
        ON CONFLICT ("nodeId") DO UPDATE SET
          "bootId" = excluded."bootId", "runId" = excluded."runId", pass = excluded.pass, epoch = excluded.epoch,
          generation = excluded.generation, "table" = coalesce(excluded."table", last."table"),
          "tableAt" = coalesce(excluded."tableAt", last."tableAt"), events = excluded.events,
          doctor = coalesce(excluded.doctor, last.doctor), groups = coalesce(excluded.groups, last.groups), at = excluded.at,
          "receivedAt" = excluded."receivedAt",
          runs = CASE WHEN last.runs[1] = ${run} THEN last.runs ELSE (array_prepend(${run}, last.runs))[1:${keptRuns}] END
        WHERE (last.runs[1] = ${run} AND last.pass < excluded.pass) OR NOT (${run} = ANY (last.runs))
        RETURNING runs`);
      if (rows.length === 0) return false;
      await writeFragments(tx, nodeId, report, receivedAt);
      await writeHealth(tx, nodeId, report);
      await enqueue(
        tx,
        report.events.map(({ kind, key, message }, index) => ({
          id: `${nodeId} ${run} ${report.pass} ${index}`,
          // The node's clock may be wrong: what counts is when it was heard.
          ...{ at: receivedAt, source: nodeId, kind, objectId: nodeId, key, actor: null, detail: { message } },
        })),
      );
      return true;
    });
    if (!accepted) return this.#refuse(nodeId, run, report);
    if (!report.full && (known?.runId !== report.runId || known.pass !== report.pass - 1)) {
      // Another replica heard what lies between: only the database has it all.
      await this.#take([nodeId], true);
      return { accepted: true, wantFull: false };
    }
    const fragments = report.full ? new Map<string, FragmentState>() : new Map(known?.fragments ?? []);
    for (const fragment of report.fragments) fragments.set(fragment.id, fragment);
    const changed = report.fragments.map((fragment) => fragment.id);
    if (report.full) changed.push(...[...(known?.fragments.keys() ?? [])].filter((id) => !fragments.has(id)));
    for (const id of report.gone) {
      fragments.delete(id);
      changed.push(id);
    }
    const health = healthAfter(known?.health, report, fragments);
    changed.push(...(report.health ?? []).map(({ fragmentId }) => fragmentId));
    this.#reports.set(nodeId, {
      bootId: report.bootId,
      runId: report.runId,
      pass: report.pass,
      epoch: report.epoch,
      generation: report.generation,
      receivedAt: receivedAt.getTime(),
      fragments,
      health,
      table: report.table ? { ...report.table, at: receivedAt.toISOString() } : (known?.table ?? null),
      events,
      doctor: report.doctor ?? known?.doctor ?? null,
      groups: saidGroups ? byGroup(saidGroups) : (known?.groups ?? new Map()),
      ...clockOf(receivedAt.getTime() - Date.parse(report.at), known?.runId === report.runId ? known.skews : []),
    });
    this.#options.onReport(nodeId, changed);
    return { accepted: true, wantFull: false };
  }

  async #refuse(nodeId: string, run: string, report: AgentReport): Promise<ReportAnswer> {
    const last = await this.#options.db.prisma.nodeReport.findUnique({ where: { nodeId }, select: { runs: true, pass: true } });
    if (!last?.runs.includes(run)) return { accepted: false, wantFull: true };
    if (last.runs[0] === run) return { accepted: report.pass === last.pass, wantFull: false };
    const before = this.#stale.get(nodeId);
    const isRising = before?.runId === run && report.pass > before.pass;
    const times = isRising ? before.times + 1 : 1;
    this.#stale.set(nodeId, { runId: run, pass: report.pass, times });
    if (times >= clonePasses) this.#options.onClone(nodeId);
    return { accepted: false, wantFull: false };
  }

  #announcePresence(nodeId: string): void {
    const connected = this.isConnected(nodeId);
    if (this.#wasConnected.get(nodeId) === connected) return;
    this.#wasConnected.set(nodeId, connected);
    this.#options.onPresence(nodeId);
  }

  #arm(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#savePresence()
        .then(() => this.#poll())
        .catch(() => undefined)
        .finally(() => {
          for (const nodeId of this.#presence.keys()) this.#announcePresence(nodeId);
          this.#arm();
        });
    }, pollMs);
  }

  async #savePresence(): Promise<void> {
    const unsaved = [...this.#presence].filter(([, presence]) => presence.isUnsaved);
    if (unsaved.length === 0) return;
    for (const [, presence] of unsaved) presence.isUnsaved = false;
    // A stream that moved to another replica was seen there later than it left here: the later word counts.
    await this.#options.db.prisma.$executeRaw(Prisma.sql`
      INSERT INTO "nodePresence" AS last ("nodeId", "lastSeenAt", "connectedUntil")
      SELECT given.* FROM unnest(${unsaved.map(([id]) => id)}::text[],
        ${unsaved.map(([, one]) => new Date(one.lastSeenAt))}::timestamp[], ${unsaved.map(([, one]) => new Date(one.connectedUntil))}::timestamp[])
        AS given(id, seen, until) JOIN node ON node.id = given.id
      ON CONFLICT ("nodeId") DO UPDATE SET "lastSeenAt" = excluded."lastSeenAt", "connectedUntil" = excluded."connectedUntil"
      WHERE last."lastSeenAt" <= excluded."lastSeenAt"`);
  }

  async #poll(): Promise<void> {
    const { db, now } = this.#options;
    const since = new Date(this.#polledAt - overlapMs);
    const startedAt = now();
    const heads = await db.prisma.nodeReport.findMany({
      where: { receivedAt: { gte: since } },
      select: { nodeId: true, runId: true, pass: true, bootId: true },
    });
    const foreign = heads.filter(({ nodeId, bootId, runId, pass }) => {
      const mine = this.#reports.get(nodeId);
      return !mine || mine.bootId !== bootId || mine.runId !== runId || mine.pass < pass;
    });
    await this.#take(foreign.map(({ nodeId }) => nodeId));
    const presences = await db.prisma.nodePresence.findMany({ where: { lastSeenAt: { gte: since } } });
    for (const { nodeId, lastSeenAt, connectedUntil } of presences) {
      const mine = this.#presence.get(nodeId);
      if (mine && mine.lastSeenAt >= lastSeenAt.getTime()) continue;
      this.#presence.set(nodeId, {
        lastSeenAt: lastSeenAt.getTime(),
        connectedUntil: connectedUntil.getTime(),
        isUnsaved: false,
      });
      this.#announcePresence(nodeId);
    }
    this.#polledAt = startedAt;
  }

  /** Reads what another replica heard; `evenIfKnown`, also where this one seems to be as new. */
  async #take(nodeIds: readonly string[], evenIfKnown = false): Promise<void> {
    if (nodeIds.length === 0) return;
    const { db } = this.#options;
    const reports = await db.prisma.nodeReport.findMany({ where: { nodeId: { in: [...nodeIds] } } });
    const fragments = await db.prisma.nodeFragment.findMany({ where: { nodeId: { in: [...nodeIds] } } });
    for (const report of reports) {
      const mine = this.#reports.get(report.nodeId);
      const isKnown = mine && mine.runId === report.runId && mine.pass >= report.pass;
      if (isKnown && !evenIfKnown) continue; // heard here in the meantime
      const states = fragments.filter(({ nodeId }) => nodeId === report.nodeId).map(stateOf);
      const health = new Map<string, HealthReport>();
      for (const row of fragments)
        if (row.nodeId === report.nodeId && row.health) health.set(row.fragmentId, row.health as unknown as HealthReport);
      const changed = states.filter(({ id, hash, state }) => {
        const old = mine?.fragments.get(id);
        const isHealthNew = JSON.stringify(health.get(id)) !== JSON.stringify(mine?.health.get(id));
        return old?.hash !== hash || old.state !== state || isHealthNew;
      });
      const table = report.table as { rows: TableRow[]; total: number } | null;
      this.#reports.set(report.nodeId, {
        bootId: report.bootId,
        runId: report.runId,
        pass: report.pass,
        epoch: report.epoch,
        generation: report.generation,
        receivedAt: report.receivedAt.getTime(),
        fragments: new Map(states.map((state) => [state.id, state])),
        health,
        table: table && report.tableAt ? { ...table, at: report.tableAt.toISOString() } : null,
        events: report.events as unknown as AgentEvent[],
        doctor: report.doctor as DoctorReport | null,
        groups: byGroup(report.groups as GroupReport[] | null),
        ...clockOf(report.receivedAt.getTime() - report.at.getTime(), mine?.runId === report.runId ? mine.skews : []),
      });
      const gone = [...(mine?.fragments.keys() ?? [])].filter((id) => !states.some((state) => state.id === id));
      this.#options.onReport(report.nodeId, [...changed.map(({ id }) => id), ...gone]);
    }
  }
}

const keptSkews = 16;

function clockOf(skewMs: number, before: readonly number[]): Pick<LiveReport, "skewMs" | "offsetMs" | "skews"> {
  const skews = [...before, skewMs].slice(-keptSkews);
  return { skewMs, skews, offsetMs: Math.min(...skews) };
}

const byGroup = (groups: readonly GroupReport[] | null): Map<string, GroupReport> =>
  new Map(groups?.map((group) => [group.groupId, group]));

function stateOf(row: { fragmentId: string; hash: string; state: string; reason: string | null; message: string | null }) {
  return {
    id: row.fragmentId,
    hash: row.hash,
    state: row.state as FragmentState["state"],
    reason: row.reason,
    message: row.message,
  };
}

/** What is known of health after a report; of fragments that are no more, nothing. */
function healthAfter(
  before: ReadonlyMap<string, HealthReport> | undefined,
  report: AgentReport,
  fragments: ReadonlyMap<string, FragmentState>,
): Map<string, HealthReport> {
  const health = new Map(report.full ? [] : before);
  for (const one of report.health ?? []) health.set(one.fragmentId, one);
  for (const id of health.keys()) if (!fragments.has(id)) health.delete(id);
  return health;
}

async function writeHealth(tx: Pick<Database["prisma"], "$executeRaw">, nodeId: string, report: AgentReport): Promise<void> {
  const health = report.health ?? [];
  const ids = health.map(({ fragmentId }) => fragmentId);
  if (report.full) {
    await tx.$executeRaw`
      UPDATE "nodeFragment" SET health = NULL
      WHERE "nodeId" = ${nodeId} AND health IS NOT NULL AND NOT ("fragmentId" = ANY (${ids}))`;
  }
  if (ids.length === 0) return;
  await tx.$executeRaw`
    UPDATE "nodeFragment" SET health = given.value FROM jsonb_array_elements(${JSON.stringify(health)}::jsonb) AS given
    WHERE "nodeId" = ${nodeId} AND "fragmentId" = given.value->>'fragmentId'`;
}

async function writeFragments(
  tx: Pick<Database["prisma"], "$executeRaw">,
  nodeId: string,
  report: AgentReport,
  receivedAt: Date,
): Promise<void> {
  const ids = report.fragments.map(({ id }) => id);
  if (report.full) {
    await tx.$executeRaw`DELETE FROM "nodeFragment" WHERE "nodeId" = ${nodeId} AND NOT ("fragmentId" = ANY (${ids}))`;
  } else if (report.gone.length > 0) {
    await tx.$executeRaw`DELETE FROM "nodeFragment" WHERE "nodeId" = ${nodeId} AND "fragmentId" = ANY (${report.gone})`;
  }
  if (ids.length === 0) return;
  await tx.$executeRaw`
    INSERT INTO "nodeFragment" ("nodeId", "fragmentId", hash, state, reason, message, "receivedAt")
    SELECT ${nodeId}, f.id, f.hash, f.state, f.reason, f.message, ${receivedAt}::timestamp
    FROM jsonb_to_recordset(${JSON.stringify(report.fragments)}::jsonb) AS f(id text, hash text, state text, reason text, message text)
    ON CONFLICT ("nodeId", "fragmentId") DO UPDATE SET
      hash = excluded.hash, state = excluded.state, reason = excluded.reason, message = excluded.message, "receivedAt" = excluded."receivedAt"`;
}
