import { ChevronDown } from "lucide-react";
import { type ComponentProps, useId } from "react";
import { cn } from "./cn.ts";

const box =
  "w-full rounded-md border border-line-strong/70 bg-surface text-ink placeholder:text-soft/80 shadow-low transition-colors hover:border-line-strong disabled:bg-sunken disabled:text-soft aria-invalid:border-bad";

// A browser restores and fills in only controls that have an id or a name.
export function Input({ className, ...rest }: ComponentProps<"input">) {
  return <input id={useId()} {...rest} className={cn(box, "h-9 px-2.5", className)} />;
}

export function Textarea({ className, ...rest }: ComponentProps<"textarea">) {
  return <textarea id={useId()} {...rest} className={cn(box, "min-h-20 px-2.5 py-2", className)} />;
}

/** The platform's own list: it is keyboard-complete everywhere, and a phone shows its own picker. */
export function Select({ className, children, ...rest }: ComponentProps<"select">) {
  return (
    <span className={cn("relative block", className)}>
      <select id={useId()} {...rest} className={cn(box, "h-9 appearance-none truncate pr-8 pl-2.5")}>
        {children}
      </select>
      <ChevronDown aria-hidden className="-translate-y-1/2 pointer-events-none absolute top-1/2 right-2.5 size-4 text-soft" />
    </span>
  );
}
