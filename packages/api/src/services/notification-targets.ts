import type { Database, Transaction } from "@trigon/db";
import {
  type DeliveryView,
  DomainError,
  type EventTopic,
  type NotificationTargetPatch,
  type NotificationTargetView,
} from "@trigon/model";
import type { Call } from "../actor.ts";
import { newId } from "../new-id.ts";
import { type Notifier, secretName, type TargetRow } from "../notifier.ts";
import { audit } from "../record.ts";
import { seal } from "../secrets.ts";
import type { Services } from "../services.ts";

/** So many targets may be told of events. */
const maxTargets = 20;

/** The limit and the names hold also for two who write at once. */
const lockTargets = (tx: Transaction) => tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtext('trigon notification targets'))`;

function viewOf(call: Call, row: TargetRow, waiting: number): NotificationTargetView {
  const isAdmin = call.actor.scopes.includes("admin");
  return {
    id: row.id,
    name: row.name,
    kind: "webhook",
    url: isAdmin ? row.url : new URL(row.url).origin,
    topics: row.topics as EventTopic[],
    enabled: row.enabled,
    hasSecret: row.secret !== null,
    createdAt: row.createdAt.toISOString(),
    createdBy: row.createdBy,
    waiting,
    dropped: row.dropped,
    last: row.last as DeliveryView | null,
    failingSince: row.failingSince?.toISOString() ?? null,
    nextAt: row.failures > 0 && row.enabled && waiting > 0 ? row.nextAt.toISOString() : null,
  };
}

/** Programs that are told of events. A secret goes in and never comes out. */
export function notificationTargets(
  { db, secretKey, now }: { db: Database; secretKey: Buffer; now: () => number },
  notifier: Notifier,
): Services["notificationTargets"] {
  const found = async (tx: Pick<Transaction, "notificationTarget">, id: string) => {
    const row = await tx.notificationTarget.findUnique({ where: { id } });
    if (!row) throw new DomainError("resource.notFound", `There is no notification target ${id}.`);
    return row;
  };
  const refuseName = async (tx: Transaction, name: string, id?: string) => {
    const other = await tx.notificationTarget.findUnique({ where: { name } });
    if (other && other.id !== id) throw new DomainError("resource.exists", `There is a notification target ${name} already.`);
  };
  const sealed = (id: string, secret: string) => new Uint8Array(seal(secretKey, secretName(id), secret));
  const waitingOf = (tx: Pick<Transaction, "notification">, targetId: string) => tx.notification.count({ where: { targetId } });

  return {
    async list(call) {
      const rows = await db.prisma.notificationTarget.findMany({ orderBy: { name: "asc" } });
      const counts = await db.prisma.notification.groupBy({ by: ["targetId"], _count: true });
      const waiting = new Map(counts.map(({ targetId, _count }) => [targetId, _count]));
      return { data: rows.map((row) => viewOf(call, row, waiting.get(row.id) ?? 0)) };
    },

    async create(call, { secret, ...spec }) {
      return db.prisma.$transaction(async (tx) => {
        await lockTargets(tx);
        await refuseName(tx, spec.name);
        if ((await tx.notificationTarget.count()) >= maxTargets) {
          throw new DomainError("resource.tooMany", `There are ${maxTargets} notification targets already: delete one first.`);
        }
        const id = newId("notificationTarget");
        const at = new Date(now());
        const row = await tx.notificationTarget.create({
          data: {
            ...spec,
            id,
            topics: [...new Set(spec.topics)],
            secret: secret === undefined ? null : sealed(id, secret),
            createdAt: at,
            createdBy: call.actor.name,
            nextAt: at,
          },
        });
        await audit(tx, call, "notificationTarget.created", id, auditOf({ ...spec, secret }));
        return viewOf(call, row, await waitingOf(tx, id));
      });
    },

    async patch(call, id, { secret, topics, ...fields }) {
      return db.prisma.$transaction(async (tx) => {
        await lockTargets(tx);
        const before = await found(tx, id);
        if (fields.name !== undefined) await refuseName(tx, fields.name, id);
        const row = await tx.notificationTarget.update({
          where: { id },
          data: {
            ...fields,
            ...(topics === undefined ? {} : { topics: [...new Set(topics)] }),
            ...(secret === undefined ? {} : { secret: secret === null ? null : sealed(id, secret) }),
            // Whoever mends a target wants to see at once whether it works now.
            nextAt: new Date(now()),
          },
        });
        // What happens while it is off is not told later.
        if (!row.enabled) await tx.notification.deleteMany({ where: { targetId: id } });
        await audit(tx, call, "notificationTarget.updated", id, { ...auditOf({ secret, topics, ...fields }), name: before.name });
        return viewOf(call, row, await waitingOf(tx, id));
      });
    },

    async remove(call, id) {
      await db.prisma.$transaction(async (tx) => {
        await lockTargets(tx);
        const { name } = await found(tx, id);
        await tx.notificationTarget.delete({ where: { id } });
        await tx.notification.deleteMany({ where: { targetId: id } });
        await audit(tx, call, "notificationTarget.deleted", id, { name });
      });
    },

    async test(call, id) {
      const target = await found(db.prisma, id);
      const result = await notifier.test(target);
      await audit(db.prisma, call, "notificationTarget.tested", id, { name: target.name, outcome: result.outcome });
      return result;
    },
  };
}

/** What the audit log is told: of a URL the origin, of a secret that there is another. */
function auditOf({ url, secret, ...rest }: NotificationTargetPatch): Record<string, unknown> {
  return {
    ...rest,
    ...(url === undefined ? {} : { url: new URL(url).origin }),
    ...(secret === undefined ? {} : { secret: secret === null ? "removed" : "set" }),
  };
}
