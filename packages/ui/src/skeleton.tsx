import { cn } from "./cn.ts";

/** Grey where text will be; shown only when the wait is long enough to notice. */
export function Skeleton({ className }: { className?: string }) {
  return <span aria-hidden className={cn("appear-late block h-4 animate-pulse rounded bg-sunken", className)} />;
}

/** A page or a card that is still loading. `label` is what a screen reader hears. */
export function SkeletonRows({ rows = 5, label }: { rows?: number; label: string }) {
  return (
    <div role="status" className="space-y-3 p-4">
      <span className="sr-only">{label}</span>
      {Array.from({ length: rows }, (_, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: placeholders have no identity
        <Skeleton key={index} className={index % 3 === 2 ? "w-2/3" : "w-full"} />
      ))}
    </div>
  );
}
