import type { LucideIcon } from "lucide-react";
import type { ReactNode } from "react";
import { cn } from "./cn.ts";

/** What a list says when it has nothing to show. Empty, filtered-empty, failed and not-allowed each bring their own words and action. */
export function EmptyState(props: {
  icon: LucideIcon;
  title: ReactNode;
  children?: ReactNode;
  action?: ReactNode;
  className?: string;
}) {
  const Icon = props.icon;
  return (
    <div className={cn("flex flex-col items-center px-6 py-12 text-center", props.className)}>
      <span className="mb-3 grid size-11 place-items-center rounded-full bg-sunken text-soft">
        <Icon aria-hidden className="size-5" />
      </span>
      <p className="font-semibold text-[0.9375rem]">{props.title}</p>
      {props.children ? <div className="mt-1 max-w-[52ch] text-soft">{props.children}</div> : null}
      {props.action ? <div className="mt-4 flex flex-wrap justify-center gap-2">{props.action}</div> : null}
    </div>
  );
}
