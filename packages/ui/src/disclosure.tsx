import { ChevronRight } from "lucide-react";
import type { ReactNode } from "react";
import { cn } from "./cn.ts";

/** Folds what few need. The browser's own element: find-in-page opens it, and it works before any script runs. */
export function Disclosure(props: {
  summary: ReactNode;
  note?: ReactNode;
  open?: boolean;
  children: ReactNode;
  className?: string;
}) {
  return (
    <details open={props.open} className={cn("group", props.className)}>
      <summary className="flex list-none items-center gap-2 rounded-md px-4 py-3 font-semibold text-[0.9375rem] hover:bg-sunken/60 [&::-webkit-details-marker]:hidden">
        <ChevronRight aria-hidden className="size-4 shrink-0 text-soft transition-transform group-open:rotate-90" />
        <span>{props.summary}</span>
        {props.note ? <span className="min-w-0 truncate font-normal text-soft text-xs">{props.note}</span> : null}
      </summary>
      {props.children}
    </details>
  );
}
