import { randomUUID } from "node:crypto";
import type { Database } from "@trigon/db";
import type { DeliveryView } from "@trigon/model";
import { open } from "./secrets.ts";
import type { ServiceContext } from "./service-context.ts";
import { nameIn, nameOf, serviceOf, textOf } from "./services/events.ts";
import { type Attempt, postWebhook } from "./webhook.ts";

export type TargetRow = NonNullable<Awaited<ReturnType<Database["prisma"]["notificationTarget"]["findUnique"]>>>;
type NotificationRow = NonNullable<Awaited<ReturnType<Database["prisma"]["notification"]["findUnique"]>>>;

const tickMs = 1_000;
const trimMs = 10_000;
/** A receiver gets at most one message in this time; what happens meanwhile goes into the next. */
export const groupMs = 10_000;
/** So many events go into one message. */
const messageEvents = 200;
/** So many wait for a target; the oldest give way. */
const waitingEvents = 2_000;
/** Nobody wants to hear of what is older. */
const deadlineMs = 6 * 3_600_000;
const timeoutMs = 10_000;
/** Whoever does not come back from sending has died: longer than any attempt. */
const claimMs = 30_000;
const firstBackoffMs = 5_000;
const maxBackoffMs = 300_000;
/** Closing waits so long for receivers that are about to answer. */
const closeMs = 2_000;

/** The name that a target's secret is sealed under. */
export const secretName = (targetId: string) => `notificationTarget ${targetId}`;

/** After so many failures in a row; `chance` from 0 to 1, so that targets that failed together do not come back together. */
export const backoffMs = (failures: number, chance: number): number =>
  Math.min(maxBackoffMs, firstBackoffMs * 2 ** Math.min(failures - 1, 20)) * (0.5 + chance);

/** What a receiver is told of one event. */
interface Told {
  /** The same when the event is told again, as after an answer that was lost. */
  id: string;
  at: string;
  topic: string;
  kind: string;
  source: "node" | "audit";
  objectId: string | null;
  objectName: string | null;
  actor: string | null;
  message: string;
}

export interface NotifierOptions extends Pick<ServiceContext, "db" | "store" | "now"> {
  secretKey: Buffer;
  publicUrl: string;
  log: (line: string) => void;
}

/**
 * Tells targets what waits for them in the outbox. Any replica may: a turn is a claim on the target's row, and no lock or connection is held
 * while a receiver takes its time.
 */
export class Notifier {
  readonly #options: NotifierOptions;
  readonly #replica = randomUUID();
  readonly #sending = new Set<Promise<void>>();
  readonly #abort = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #ticking: Promise<void> | undefined;
  #trimmedAt = 0;
  #closed = false;

  constructor(options: NotifierOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#ticking = this.#tick()
        .catch((error: Error) => this.#options.log(`notifications wait: ${error.message}`))
        .finally(() => this.start());
    }, tickMs);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#ticking;
    const late = setTimeout(() => this.#abort.abort(), closeMs);
    await Promise.all(this.#sending);
    clearTimeout(late);
  }

  /** Sends one message that says that it is a test, and keeps what came of it. */
  async test(target: TargetRow): Promise<DeliveryView> {
    const at = new Date(this.#options.now()).toISOString();
    const told: Told = {
      ...{ id: randomUUID(), at, topic: "test", kind: "notification.test", source: "audit" },
      ...{ objectId: target.id, objectName: target.name, actor: null, message: "This is a test." },
    };
    return this.#finish(target, [], await this.#post(target, [told]));
  }

  async #tick(): Promise<void> {
    const { db, now, log } = this.#options;
    const at = new Date(now());
    if (now() - this.#trimmedAt >= trimMs) {
      await this.#trim();
      this.#trimmedAt = now();
    }
    const until = new Date(now() + claimMs);
    const claimed = await db.prisma.$queryRaw<{ id: string }[]>`
      UPDATE "notificationTarget" SET claim = ${this.#replica}, "claimedUntil" = ${until}::timestamp
      WHERE id IN (
        SELECT t.id FROM "notificationTarget" t
        WHERE t.enabled AND t."nextAt" <= ${at}::timestamp AND (t."claimedUntil" IS NULL OR t."claimedUntil" <= ${at}::timestamp)
          AND EXISTS (SELECT FROM notification n WHERE n."targetId" = t.id)
        FOR UPDATE SKIP LOCKED)
      RETURNING id`;
    for (const { id } of claimed) {
      const sending = this.#send(id)
        .catch((error: Error) => log(`notifications to ${id} wait: ${error.message}`))
        .finally(() => this.#sending.delete(sending));
      this.#sending.add(sending);
    }
  }

  async #send(id: string): Promise<void> {
    const { db, store } = this.#options;
    const target = await db.prisma.notificationTarget.findUnique({ where: { id } });
    if (!target) return;
    const rows = await db.prisma.notification.findMany({
      where: { targetId: id },
      orderBy: { sequence: "asc" },
      take: messageEvents,
    });
    if (rows.length === 0) return;
    const state = await store.refresh();
    const told = rows.map((row): Told => toldOf(state, row));
    await this.#finish(target, rows, await this.#post(target, told));
  }

  async #post(target: TargetRow, events: readonly Told[]): Promise<Attempt> {
    const { secretKey, publicUrl, store, now } = this.#options;
    let secret: string | null = null;
    try {
      if (target.secret !== null) secret = open(secretKey, secretName(target.id), target.secret);
    } catch (error) {
      return { outcome: "secret", status: null, message: (error as Error).message };
    }
    const body = JSON.stringify({
      version: 1,
      fleetId: store.state.fleet?.id ?? null,
      console: publicUrl,
      target: { id: target.id, name: target.name },
      sentAt: new Date(now()).toISOString(),
      dropped: target.dropped,
      events,
    });
    const timestamp = String(Math.floor(now() / 1000));
    return postWebhook(target.url, body, { secret, timestamp, timeoutMs, signal: this.#abort.signal });
  }

  /** Writes down what came of an attempt. What was delivered is forgotten in the same transaction. */
  async #finish(target: TargetRow, rows: readonly NotificationRow[], attempt: Attempt): Promise<DeliveryView> {
    const { db, now } = this.#options;
    const isDone = attempt.outcome === "delivered";
    const isTest = rows.length === 0;
    const at = new Date(now());
    const last: DeliveryView = { at: at.toISOString(), ...attempt };
    const failures = isTest ? target.failures : target.failures + 1;
    const next = isDone ? groupMs : backoffMs(failures, Math.random());
    await db.prisma.$transaction([
      db.prisma.notification.deleteMany({
        where: { sequence: { in: isDone ? rows.map(({ sequence }) => sequence) : [] } },
      }),
      db.prisma.notificationTarget.updateMany({
        where: { id: target.id },
        data: {
          last: { ...last },
          failures: isDone ? 0 : failures,
          failingSince: isDone ? null : (target.failingSince ?? at),
          // A test changes nobody's turn; one that arrives lets the next turn come at once.
          ...(isTest
            ? isDone
              ? { nextAt: at }
              : {}
            : { nextAt: new Date(at.getTime() + next), claim: null, claimedUntil: null }),
        },
      }),
    ]);
    return last;
  }

  /** Keeps the outbox small: what is too old or too much is given up, and counted. */
  async #trim(): Promise<void> {
    const { db, now } = this.#options;
    await db.prisma.$executeRaw`
      WITH ranked AS (
        SELECT sequence, at, row_number() OVER (PARTITION BY "targetId" ORDER BY sequence DESC) AS place FROM notification),
      gone AS (
        DELETE FROM notification n USING ranked r
        WHERE n.sequence = r.sequence AND (r.place > ${waitingEvents} OR r.at < ${new Date(now() - deadlineMs)}::timestamp)
        RETURNING n."targetId"),
      counted AS (SELECT "targetId", count(*)::int AS many FROM gone GROUP BY "targetId")
      UPDATE "notificationTarget" t SET dropped = t.dropped + counted.many FROM counted WHERE counted."targetId" = t.id`;
    await db.prisma.$executeRaw`
      DELETE FROM notification n WHERE NOT EXISTS (SELECT FROM "notificationTarget" t WHERE t.id = n."targetId")`;
  }
}

function toldOf(state: ServiceContext["store"]["state"], row: NotificationRow): Told {
  const isAudit = row.source === "audit";
  const objectId = isAudit ? row.objectId : (serviceOf(state, row.key) ?? row.objectId);
  const node = isAudit ? undefined : state.nodes.get(row.source)?.name;
  const said = isAudit ? textOf(row.detail) : String((row.detail as { message?: unknown }).message ?? "");
  return {
    id: row.eventId,
    at: row.at.toISOString(),
    topic: row.topic,
    kind: row.kind,
    source: isAudit ? "audit" : "node",
    objectId,
    objectName: nameOf(state, objectId) ?? nameIn(row.detail),
    actor: row.actor,
    message: node === undefined ? said : `${node}: ${said}`,
  };
}
