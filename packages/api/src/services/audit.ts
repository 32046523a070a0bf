import type { Database } from "@trigon/db";
import { decodeCursor, encodeCursor, pageOf } from "../cursor.ts";
import type { Services } from "../services.ts";
import { contains } from "./text-filter.ts";

/** The append-only audit log, newest first. */
export function auditService(db: Database): Services["audit"] {
  return {
    async list({ limit, cursor, query }) {
      const after = cursor === undefined ? undefined : decodeCursor(cursor);
      const rows = await db.prisma.auditEvent.findMany({
        where: {
          AND: [
            after ? { OR: [{ at: { lt: after.at } }, { at: after.at, id: { lt: after.id } }] } : {},
            query ? { OR: [{ actor: contains(query) }, { event: contains(query) }, { objectId: query }] } : {},
          ],
        },
        orderBy: [{ at: "desc" }, { id: "desc" }],
        take: limit + 1,
      });
      return pageOf(
        rows,
        limit,
        (row) => encodeCursor(row.at, row.id),
        (row) => ({ ...row, at: row.at.toISOString(), detail: row.detail as Record<string, unknown> }),
      );
    },
  };
}
