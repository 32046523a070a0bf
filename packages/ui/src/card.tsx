import type { ReactNode } from "react";
import { cn } from "./cn.ts";

export function Card({ className, children }: { className?: string; children: ReactNode }) {
  return <section className={cn("min-w-0 rounded-lg border border-line bg-surface shadow-low", className)}>{children}</section>;
}

/** A card's title line with its actions on the right. */
export function CardHeader(props: { title: ReactNode; hint?: ReactNode; actions?: ReactNode; className?: string }) {
  return (
    <header className={cn("flex flex-wrap items-center justify-between gap-x-4 gap-y-2 border-b px-4 py-3", props.className)}>
      <div className="min-w-0">
        <h2 className="font-semibold text-[0.9375rem]">{props.title}</h2>
        {props.hint ? <p className="text-soft text-xs">{props.hint}</p> : null}
      </div>
      {props.actions ? <div className="flex flex-wrap items-center gap-2">{props.actions}</div> : null}
    </header>
  );
}

/** One figure with its name. */
export function Figure(props: { label: ReactNode; value: ReactNode; note?: ReactNode; className?: string }) {
  return (
    <div className={cn("min-w-0", props.className)}>
      <dt className="text-soft text-xs">{props.label}</dt>
      <dd className="mt-0.5 font-semibold text-xl tabular-nums leading-tight tracking-tight">{props.value}</dd>
      {props.note ? <dd className="mt-0.5 text-soft text-xs">{props.note}</dd> : null}
    </div>
  );
}

/** Name and value pairs; the first column takes the room its longest name needs. */
export function Facts({ rows, className }: { rows: { name: ReactNode; value: ReactNode }[]; className?: string }) {
  return (
    <dl className={cn("grid grid-cols-[minmax(7rem,max-content)_minmax(0,1fr)] gap-x-6 gap-y-2", className)}>
      {rows.map((row, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: rows are a fixed list
        <div key={index} className="contents">
          <dt className="text-soft">{row.name}</dt>
          <dd className="min-w-0 break-words tabular-nums">{row.value}</dd>
        </div>
      ))}
    </dl>
  );
}
