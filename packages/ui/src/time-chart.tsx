"use client";
import { type KeyboardEvent, type PointerEvent, useState } from "react";
import { cn } from "./cn.ts";
import { linePath } from "./line-path.ts";
import { gapsOf, niceCeiling } from "./nice-scale.ts";

export interface ChartSeries {
  name: string;
  tone: "request" | "reply" | "accent";
  /** Evenly spaced, oldest first; null where nothing is known. */
  values: readonly (number | null)[];
}

/**
 * Lines over time. Spans in which nothing is known are shaded and bridged by no line. Pointer and arrow keys read single points, and the same
 * figures stand in a table for those who open it.
 */
export function TimeChart(props: {
  label: string;
  series: readonly ChartSeries[];
  /** When the first point begins, and how far apart points are; milliseconds. */
  fromMs: number;
  stepMs: number;
  formatValue: (value: number | null) => string;
  formatTime: (ms: number) => string;
  texts: { table: string; time: string; noData: string };
}) {
  const { series, fromMs, stepMs, formatValue, formatTime } = props;
  const [chosen, setChosen] = useState<number | null>(null);
  const [isTableOpen, setTableOpen] = useState(false);
  const count = Math.max(0, ...series.map(({ values }) => values.length));
  const known = Array.from({ length: count }, (_, index) => series.map(({ values }) => values[index] ?? null)).map(
    (points) => points.find((value) => value !== null) ?? null,
  );
  const max = niceCeiling(Math.max(0, ...series.flatMap(({ values }) => values.map((value) => value ?? 0))));
  const box = { width: 1000, height: 120 };
  const x = (index: number) => (count > 1 ? (index / (count - 1)) * box.width : 0);
  const timeOf = (index: number) => formatTime(fromMs + index * stepMs);
  const told = (index: number) =>
    `${timeOf(index)}: ${
      known[index] === null
        ? props.texts.noData
        : series.map(({ name, values }) => `${name} ${formatValue(values[index] ?? null)}`).join(", ")
    }`;

  const onPointerMove = (event: PointerEvent<HTMLElement>) => {
    const { left, width } = event.currentTarget.getBoundingClientRect();
    setChosen(Math.min(count - 1, Math.max(0, Math.round(((event.clientX - left) / width) * (count - 1)))));
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const now = chosen ?? count - 1;
    const far = Math.max(1, Math.round(count / 12));
    const moves: Record<string, number> = {
      ArrowLeft: now - 1,
      ArrowDown: now - 1,
      ArrowRight: now + 1,
      ArrowUp: now + 1,
      PageDown: now - far,
      PageUp: now + far,
      Home: 0,
      End: count - 1,
    };
    const next = moves[event.key];
    if (next === undefined) return;
    event.preventDefault();
    setChosen(Math.min(count - 1, Math.max(0, next)));
  };
  const shown = chosen !== null && chosen < count ? chosen : null;

  return (
    <div className="min-w-0">
      <ul className="mb-2 flex flex-wrap gap-x-4 gap-y-1 text-soft text-xs">
        {series.map(({ name, tone }) => (
          <li key={name} className="flex items-center gap-1.5">
            <svg aria-hidden width="18" height="6">
              <line x1="0" x2="18" y1="3" y2="3" strokeWidth="2" {...strokeOf(tone)} />
            </svg>
            {name}
          </li>
        ))}
      </ul>
      <div className="flex gap-2">
        <div
          aria-hidden
          className="flex w-18 shrink-0 flex-col justify-between text-right text-soft text-xs tabular-nums leading-none"
        >
          <span>{formatValue(max)}</span>
          <span>{formatValue(max / 2)}</span>
          <span>{formatValue(0)}</span>
        </div>
        {/* A read-only slider over time: it is what assistive technology knows to step through and to read out. */}
        <div
          role="slider"
          tabIndex={0}
          aria-label={props.label}
          aria-readonly
          aria-valuemin={0}
          aria-valuemax={Math.max(0, count - 1)}
          aria-valuenow={shown ?? Math.max(0, count - 1)}
          aria-valuetext={count > 0 ? told(shown ?? count - 1) : props.texts.noData}
          className="relative h-32 min-w-0 flex-1 cursor-crosshair touch-pan-y rounded"
          onPointerMove={onPointerMove}
          onPointerLeave={() => setChosen(null)}
          onBlur={() => setChosen(null)}
          onKeyDown={onKeyDown}
        >
          <svg
            aria-hidden
            viewBox={`0 0 ${box.width} ${box.height}`}
            preserveAspectRatio="none"
            className="absolute inset-0 h-full w-full overflow-visible"
          >
            {gapsOf(known).map(({ from, length }) => (
              <rect
                key={from}
                x={x(Math.max(0, from - 0.5))}
                width={Math.max(0, x(Math.min(count - 1, from + length - 0.5)) - x(Math.max(0, from - 0.5)))}
                y="0"
                height={box.height}
                fill="var(--t-sunken)"
              />
            ))}
            {[0, 0.5, 1].map((part) => (
              <line
                key={part}
                x1="0"
                x2={box.width}
                y1={part * box.height}
                y2={part * box.height}
                stroke="var(--t-line)"
                vectorEffect="non-scaling-stroke"
              />
            ))}
            {series.map(({ name, tone, values }) => (
              <path
                key={name}
                d={linePath(values, { ...box, max })}
                fill="none"
                strokeWidth="1.75"
                strokeLinejoin="round"
                vectorEffect="non-scaling-stroke"
                {...strokeOf(tone)}
              />
            ))}
            {shown === null ? null : (
              <line
                x1={x(shown)}
                x2={x(shown)}
                y1="0"
                y2={box.height}
                stroke="var(--t-line-strong)"
                vectorEffect="non-scaling-stroke"
              />
            )}
          </svg>
          {known.every((value) => value === null) ? (
            <p aria-hidden className="absolute inset-0 grid place-items-center text-soft text-xs">
              {props.texts.noData}
            </p>
          ) : null}
          {shown === null ? null : (
            <Tip left={count > 1 ? shown / (count - 1) : 0} title={timeOf(shown)}>
              {known[shown] === null
                ? [props.texts.noData]
                : series.map(({ name, values }) => `${name}: ${formatValue(values[shown] ?? null)}`)}
            </Tip>
          )}
        </div>
      </div>
      <div aria-hidden className="mt-1 ml-20 flex justify-between text-soft text-xs tabular-nums">
        {count > 1 ? [0, 0.5, 1].map((part) => <span key={part}>{timeOf(Math.round(part * (count - 1)))}</span>) : null}
      </div>
      <details className="mt-1 text-xs" onToggle={(event) => setTableOpen(event.currentTarget.open)}>
        <summary className="inline-block cursor-pointer rounded py-1 text-soft hover:text-ink">{props.texts.table}</summary>
        {isTableOpen ? (
          // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
          <section aria-label={props.label} tabIndex={0} className="mt-1 max-h-64 overflow-auto rounded border border-line">
            <table className="w-full border-collapse text-right tabular-nums">
              <caption className="sr-only">{props.label}</caption>
              <thead className="sticky top-0 bg-sunken">
                <tr>
                  <th scope="col" className="px-3 py-1 text-left font-medium">
                    {props.texts.time}
                  </th>
                  {series.map(({ name }) => (
                    <th key={name} scope="col" className="px-3 py-1 font-medium">
                      {name}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {known.map((_, fromEnd) => {
                  const index = count - 1 - fromEnd;
                  return (
                    <tr key={index} className="border-t">
                      <th scope="row" className="whitespace-nowrap px-3 py-0.5 text-left font-normal">
                        {timeOf(index)}
                      </th>
                      {series.map(({ name, values }) => (
                        <td key={name} className="whitespace-nowrap px-3 py-0.5">
                          {values[index] === null ? props.texts.noData : formatValue(values[index] ?? null)}
                        </td>
                      ))}
                    </tr>
                  );
                })}
              </tbody>
            </table>
          </section>
        ) : null}
      </details>
    </div>
  );
}

const strokeOf = (tone: ChartSeries["tone"]) => ({
  stroke: `var(--t-${tone})`,
  strokeDasharray: tone === "reply" ? "4 2.5" : undefined,
});

/** Beside the line it belongs to, on the side that has room. */
function Tip({ left, title, children }: { left: number; title: string; children: string[] }) {
  const isRight = left > 0.5;
  return (
    <div
      aria-hidden
      className={cn(
        "pointer-events-none absolute top-0 z-10 w-max max-w-[75%] rounded border border-line bg-surface px-2 py-1 text-xs shadow-high",
        isRight ? "mr-2" : "ml-2",
      )}
      style={isRight ? { right: `${(1 - left) * 100}%` } : { left: `${left * 100}%` }}
    >
      <p className="font-medium tabular-nums">{title}</p>
      {children.map((line) => (
        <p key={line} className="text-soft tabular-nums">
          {line}
        </p>
      ))}
    </div>
  );
}
