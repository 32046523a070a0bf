"use client";
import { ArrowDown, ArrowUp, ArrowUpDown } from "lucide-react";
import { type ReactNode, useId, useRef } from "react";
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
  /** Its header is a button that orders by it. */
  sortable?: boolean;
}

export interface TableSort {
  by: string;
  descending: boolean;
  onSort: (columnId: string) => void;
}

/** Rows to choose: `toggle` gets what was clicked, and everything from the last click on when Shift was held. */
export interface TableSelection<Row> {
  isSelected: (row: Row) => boolean;
  toggle: (rows: readonly Row[], selected: boolean) => void;
  labelOf: (row: Row) => string;
  allLabel: string;
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
  sort?: TableSort;
  selection?: TableSelection<Row>;
}) {
  const { sort, selection } = props;
  const lastClicked = useRef<number | null>(null);
  const chosen = selection ? props.rows.filter(selection.isSelected).length : 0;
  return (
    <div className="sm:overflow-x-auto">
      <table className="block w-full border-collapse text-left sm:table">
        <caption className="sr-only">{props.caption}</caption>
        <thead className="hidden sm:table-header-group">
          <tr className="border-b bg-sunken/60">
            {selection ? (
              <th scope="col" className="w-8 py-2 pl-4">
                <Checkbox
                  label={selection.allLabel}
                  checked={chosen > 0 && chosen === props.rows.length}
                  isMixed={chosen > 0 && chosen < props.rows.length}
                  onClick={() => selection.toggle(props.rows, chosen < props.rows.length)}
                />
              </th>
            ) : null}
            {props.columns.map((column) => (
              <th
                key={column.id}
                scope="col"
                aria-sort={sort?.by === column.id ? (sort.descending ? "descending" : "ascending") : undefined}
                className={cn(
                  "whitespace-nowrap px-3 py-2 font-medium text-soft text-xs first:pl-4 last:pr-4",
                  column.numeric && "text-right",
                )}
              >
                {column.sortable && sort ? (
                  <button
                    type="button"
                    className="inline-flex items-center gap-1 rounded hover:text-ink [&_svg]:size-3.5"
                    onClick={() => sort.onSort(column.id)}
                  >
                    {column.header}
                    <SortIcon state={sort.by !== column.id ? "none" : sort.descending ? "descending" : "ascending"} />
                  </button>
                ) : (
                  column.header
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody className="block sm:table-row-group">
          {props.rows.map((row, index) => (
            <tr
              key={props.rowKey(row)}
              aria-selected={selection?.isSelected(row) || undefined}
              className={cn(
                "block border-b px-4 py-3 last:border-b-0 hover:bg-sunken/40 sm:table-row sm:p-0",
                selection?.isSelected(row) && "bg-accent/8",
                props.rowClassName?.(row),
              )}
            >
              {selection ? (
                <td className="flex py-0.5 sm:table-cell sm:py-(--t-row-y) sm:pl-4 sm:align-top">
                  <Checkbox
                    label={selection.labelOf(row)}
                    checked={selection.isSelected(row)}
                    onClick={(isRange) => {
                      const from = isRange && lastClicked.current !== null ? lastClicked.current : index;
                      lastClicked.current = index;
                      const range = props.rows.slice(Math.min(from, index), Math.max(from, index) + 1);
                      selection.toggle(range, !selection.isSelected(row));
                    }}
                  />
                </td>
              ) : null}
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

function SortIcon({ state }: { state: "none" | "ascending" | "descending" }) {
  if (state === "none") return <ArrowUpDown aria-hidden className="opacity-40" />;
  return state === "ascending" ? <ArrowUp aria-hidden /> : <ArrowDown aria-hidden />;
}

function Checkbox(props: { label: string; checked: boolean; isMixed?: boolean; onClick: (isRange: boolean) => void }) {
  return (
    <input
      id={useId()}
      type="checkbox"
      aria-label={props.label}
      className="size-4 accent-accent"
      checked={props.checked}
      ref={(element) => {
        if (element) element.indeterminate = props.isMixed ?? false;
      }}
      onClick={(event) => props.onClick(event.shiftKey)}
      onChange={() => undefined}
    />
  );
}
