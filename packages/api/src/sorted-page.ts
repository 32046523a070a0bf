import { DomainError } from "@trigon/model";
import type { ListInput, Page } from "./shapes.ts";

/** A page of a list that is in memory, ordered by a name and an id. The cursor names the last row shown, so that it outlives that row. */
export function sortedPage<Row extends { id: string }, View>(
  rows: readonly Row[],
  { limit, cursor }: ListInput,
  nameOf: (row: Row) => string,
  viewOf: (row: Row) => View,
): Page<View> {
  const keyed = rows.map((row) => ({ row, key: `${nameOf(row)}\u0000${row.id}` })).toSorted((a, b) => compare(a.key, b.key));
  const after = cursor === undefined ? undefined : decode(cursor);
  const rest = after === undefined ? keyed : keyed.filter(({ key }) => compare(key, after) > 0);
  const shown = rest.slice(0, limit);
  const last = shown.at(-1);
  return {
    data: shown.map(({ row }) => viewOf(row)),
    nextCursor: rest.length > limit && last ? Buffer.from(last.key).toString("base64url") : null,
  };
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

function decode(cursor: string): string {
  const key = Buffer.from(cursor, "base64url").toString("utf8");
  if (key.includes("\u0000") && Buffer.from(key).toString("base64url") === cursor) return key;
  throw new DomainError("input.invalid", "The cursor is not one that a list answered with.", [
    { pointer: "/cursor", code: "cursor.invalid", detail: "Not a cursor of this list" },
  ]);
}
