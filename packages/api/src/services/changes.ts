import type { Database } from "@trigon/db";
import { type ChangeView, DomainError } from "@trigon/model";
import { decodeCursor, encodeCursor, pageOf } from "../cursor.ts";
import type { ServiceContext } from "../service-context.ts";
import type { Services } from "../services.ts";
import { contains } from "./text-filter.ts";

const outcomes = { outcomes: { orderBy: { nodeId: "asc" } } } as const;
type Row = NonNullable<Awaited<ReturnType<typeof find>>>;
const find = (db: Database, id: string) => db.prisma.change.findUnique({ where: { id }, include: outcomes });

/** Every configuration change with its author, both sides, and what became of it on each node. */
export function changes({ db, store }: ServiceContext): Services["changes"] {
  const viewOf = (row: Row): ChangeView => ({
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
    outcomes: row.outcomes.map(({ nodeId, state, message, at }) => ({
      nodeId,
      nodeName: store.state.nodes.get(nodeId)?.name ?? nodeId,
      state: state as ChangeView["outcomes"][number]["state"],
      message,
      at: at?.toISOString() ?? null,
    })),
  });
  return {
    async list({ limit, cursor, query }) {
      const after = cursor === undefined ? undefined : decodeCursor(cursor);
      const rows = await db.prisma.change.findMany({
        where: {
          AND: [
            after ? { OR: [{ at: { lt: after.at } }, { at: after.at, id: { lt: after.id } }] } : {},
            query ? { OR: [{ objectName: contains(query) }, { author: contains(query) }, { objectId: query }] } : {},
          ],
        },
        include: outcomes,
        orderBy: [{ at: "desc" }, { id: "desc" }],
        take: limit + 1,
      });
      return pageOf(rows, limit, (row) => encodeCursor(row.at, row.id), viewOf);
    },

    async get(id) {
      const row = await find(db, id);
      if (!row) throw new DomainError("resource.notFound", `There is no change ${id}.`);
      return viewOf(row);
    },
  };
}
