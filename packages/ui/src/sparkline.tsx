import { useId } from "react";
import { cn } from "./cn.ts";
import { linePath } from "./line-path.ts";

/** A small chart of the latest samples, oldest left; gaps (null) stay gaps. The figures beside it carry the exact value. */
export function Sparkline(props: {
  series: { values: readonly (number | null)[]; tone: "request" | "reply" | "accent" }[];
  label: string;
  /** The size, where it stands in a row of a table. */
  className?: string;
}) {
  const titleId = useId();
  const width = 240;
  const height = 56;
  const max = Math.max(1, ...props.series.flatMap((series) => series.values.map((value) => value ?? 0)));
  return (
    <svg
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      role="img"
      aria-labelledby={titleId}
      className={cn("h-14 w-full overflow-visible", props.className)}
    >
      <title id={titleId}>{props.label}</title>
      <line x1="0" x2={width} y1={height - 0.5} y2={height - 0.5} stroke="var(--t-line)" vectorEffect="non-scaling-stroke" />
      {props.series.map((series) => (
        <path
          key={series.tone}
          d={linePath(series.values, { width, height: height - 2, max })}
          fill="none"
          stroke={`var(--t-${series.tone})`}
          strokeWidth="1.75"
          strokeDasharray={series.tone === "reply" ? "4 2.5" : undefined}
          strokeLinejoin="round"
          vectorEffect="non-scaling-stroke"
        />
      ))}
    </svg>
  );
}
