import type { Database } from "@trigon/db";
import { type ChangeView, DomainError } from "@trigon/model";
import { authorise } from "../actor.ts";
import { decodeCursor, encodeCursor, pageOf } from "../cursor.ts";
import type { ServiceContext } from "../service-context.ts";
import type { Services } from "../services.ts";
import { guardView, keep } from "./guards.ts";
import { serviceEditor } from "./service-editor.ts";
import { contains } from "./text-filter.ts";
import { canUndo, scopeOfUndo, undo } from "./undo.ts";

const outcomes = { outcomes: { orderBy: { nodeId: "asc" } }, guard: true } as const;
type Row = NonNullable<Awaited<ReturnType<typeof find>>>;
const find = (db: Database, id: string) => db.prisma.change.findUnique({ where: { id }, include: outcomes });

/** Every configuration change with its author, both sides, and what became of it on each node. */
export function changes(context: ServiceContext): Services["changes"] {
  const { db, store, now, controllerAddresses } = context;
  const services = serviceEditor(controllerAddresses);

  /** Which of these changes were taken back, and by which. */
  async function undoneBy(ids: string[]): Promise<Map<string, string>> {
    const rows = await db.prisma.change.findMany({ where: { undoOf: { in: ids } }, select: { id: true, undoOf: true } });
    return new Map(rows.map((row) => [row.undoOf!, row.id]));
  }

  const viewOf = (row: Row, undone: ReadonlyMap<string, string>): ChangeView => ({
    id: row.id,
    at: row.at.toISOString(),
    author: row.author,
    action: row.action as ChangeView["action"],
    objectKind: row.objectKind as ChangeView["objectKind"],
    objectId: row.objectId,
    objectName: row.objectName,
    generation: row.generation,
    before: row.before,
    after: row.after,
    undoOf: row.undoOf,
    undoneBy: undone.get(row.id) ?? null,
    canUndo: !undone.has(row.id) && canUndo(store.state, row),
    guard: row.guard && guardView(context, row.guard),
    outcomes: row.outcomes.map(({ nodeId, state, message, at }) => ({
      nodeId,
      nodeName: store.state.nodes.get(nodeId)?.name ?? nodeId,
      state: state as ChangeView["outcomes"][number]["state"],
      message,
      at: at?.toISOString() ?? null,
    })),
  });
  async function existing(id: string): Promise<Row> {
    const row = await find(db, id);
    if (!row) throw new DomainError("resource.notFound", `There is no change ${id}.`);
    return row;
  }

  async function get(id: string): Promise<ChangeView> {
    const row = await existing(id);
    await store.refresh();
    return viewOf(row, await undoneBy([id]));
  }

  return {
    async list({ limit, cursor, query, guard }) {
      const after = cursor === undefined ? undefined : decodeCursor(cursor);
      const rows = await db.prisma.change.findMany({
        where: {
          AND: [
            after ? { OR: [{ at: { lt: after.at } }, { at: after.at, id: { lt: after.id } }] } : {},
            guard ? { guard: { state: guard } } : {},
            query
              ? { OR: [{ objectName: contains(query) }, { author: contains(query) }, { objectId: query }, { id: query }] }
              : {},
          ],
        },
        include: outcomes,
        orderBy: [{ at: "desc" }, { id: "desc" }],
        take: limit + 1,
      });
      await store.refresh();
      const undone = await undoneBy(rows.map(({ id }) => id));
      return pageOf(
        rows,
        limit,
        (row) => encodeCursor(row.at, row.id),
        (row) => viewOf(row, undone),
      );
    },

    get,

    async undo(call, id) {
      const change = await existing(id);
      authorise(call.actor, scopeOfUndo(change));
      let undoneAs: string | undefined;
      await store.write(call, async (draft) => {
        const again = await draft.tx.change.findFirst({ where: { undoOf: id }, select: { id: true } });
        if (again) throw new DomainError("revision.stale", "This change was taken back already.");
        await draft.tx.changeGuard.updateMany({
          where: { changeId: id, state: "pending" },
          data: { state: "undone", reason: "byHand", decidedBy: call.actor.name, decidedAt: new Date(now()) },
        });
        await undo(draft, change, services);
        undoneAs = draft.changeIds.at(-1);
      });
      return get(undoneAs!);
    },

    async keep(call, id) {
      const change = await existing(id);
      authorise(call.actor, scopeOfUndo(change));
      await keep(context, call, change);
      return get(id);
    },
  };
}
