import type { ReactNode } from "react";
import { cn } from "./cn.ts";

export interface Column<Row> {
  id: string;
  header: ReactNode;
  cell: (row: Row) => ReactNode;
  /** Numbers stand right, in tabular figures. */
  numeric?: boolean;
  /** The name of the row: a header cell for screen readers, the card's title on a narrow screen. */
  isRowHeader?: boolean;
  /** Dropped on a narrow screen, where it would only repeat another cell. */
  hideNarrow?: boolean;
  className?: string;
}

/**
 * A dense table that becomes a list of cards under 640 px, so that a phone never scrolls sideways.
 * Rows carry links in their cells rather than click handlers: a middle click and a keyboard both work.
 */
export function DataTable<Row>(props: {
  caption: string;
  columns: Column<Row>[];
  rows: readonly Row[];
  rowKey: (row: Row) => string;
  rowClassName?: (row: Row) => string | undefined;
}) {
  return (
    <div className="sm:overflow-x-auto">
      <table className="block w-full border-collapse text-left sm:table">
        <caption className="sr-only">{props.caption}</caption>
        <thead className="hidden sm:table-header-group">
          <tr className="border-b bg-sunken/60">
            {props.columns.map((column) => (
              <th
                key={column.id}
                scope="col"
                className={cn(
                  "whitespace-nowrap px-3 py-2 font-medium text-soft text-xs first:pl-4 last:pr-4",
                  column.numeric && "text-right",
                )}
              >
                {column.header}
              </th>
            ))}
          </tr>
        </thead>
        <tbody className="block sm:table-row-group">
          {props.rows.map((row) => (
            <tr
              key={props.rowKey(row)}
              className={cn(
                "block border-b px-4 py-3 last:border-b-0 hover:bg-sunken/40 sm:table-row sm:p-0",
                props.rowClassName?.(row),
              )}
            >
              {props.columns.map((column) => (
                <Cell key={column.id} column={column} row={row} />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Cell<Row>({ column, row }: { column: Column<Row>; row: Row }) {
  const Tag = column.isRowHeader ? "th" : "td";
  return (
    <Tag
      {...(column.isRowHeader ? { scope: "row" as const } : {})}
      className={cn(
        "flex items-baseline justify-between gap-4 py-0.5 text-left font-normal sm:table-cell sm:px-3 sm:py-(--t-row-y) sm:align-top sm:first:pl-4 sm:last:pr-4",
        column.isRowHeader && "pb-1.5 sm:pb-(--t-row-y)",
        column.numeric && "tabular-nums sm:text-right",
        column.hideNarrow && "hidden",
        column.className,
      )}
    >
      {column.isRowHeader ? null : (
        <span aria-hidden className="shrink-0 text-soft text-xs sm:hidden">
          {column.header}
        </span>
      )}
      <span className={cn("min-w-0 max-sm:text-right sm:contents", column.isRowHeader && "max-sm:w-full max-sm:text-left")}>
        {column.cell(row)}
      </span>
    </Tag>
  );
}
