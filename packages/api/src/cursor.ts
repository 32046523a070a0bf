import { DomainError } from "@trigon/model";

/** A page's end as an opaque cursor: the sort value and id of its last row. */
export function encodeCursor(at: Date, id: string): string {
  return Buffer.from(`${at.toISOString()} ${id}`).toString("base64url");
}

/** Throws `input.invalid` for a cursor that no page ended with. */
export function decodeCursor(cursor: string): { at: Date; id: string } {
  const [time, id, ...rest] = Buffer.from(cursor, "base64url").toString("utf8").split(" ");
  const at = new Date(time ?? "");
  if (!id || rest.length > 0 || Number.isNaN(at.getTime()) || encodeCursor(at, id) !== cursor) {
    throw new DomainError("input.invalid", "The cursor is not one that a list answered with.", [
      { pointer: "/cursor", code: "cursor.invalid", detail: "Not a cursor of this list" },
    ]);
  }
  return { at, id };
}

/** Cuts `limit + 1` rows to a page; the extra row says that there is more. */
export function pageOf<Row, View>(
  rows: readonly Row[],
  limit: number,
  cursorOf: (row: Row) => string,
  viewOf: (row: Row) => View,
): { data: View[]; nextCursor: string | null } {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return { data: shown.map(viewOf), nextCursor: rows.length > limit && last !== undefined ? cursorOf(last) : null };
}
