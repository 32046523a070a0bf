import type { LucideIcon } from "lucide-react";
import type { ReactNode } from "react";
import { cn } from "./cn.ts";

export type Tone = "good" | "busy" | "warn" | "bad" | "idle";

const tones: Record<Tone, string> = {
  good: "bg-good-soft text-good",
  busy: "bg-busy-soft text-busy",
  warn: "bg-warn-soft text-warn",
  bad: "bg-bad-soft text-bad",
  idle: "bg-idle-soft text-idle",
};

/** A word with an icon on a soft ground. The icon differs by meaning, so that colour is never alone. */
export function Chip(props: {
  tone?: Tone;
  icon?: LucideIcon;
  spin?: boolean;
  children: ReactNode;
  className?: string;
  title?: string;
}) {
  const Icon = props.icon;
  return (
    <span
      title={props.title}
      className={cn(
        "inline-flex max-w-full items-center gap-1 whitespace-nowrap rounded-full px-2 py-0.5 font-medium text-xs",
        tones[props.tone ?? "idle"],
        props.className,
      )}
    >
      {Icon ? (
        <Icon aria-hidden className={cn("size-3.5 shrink-0", props.spin && "animate-spin [animation-duration:2s]")} />
      ) : null}
      <span className="truncate">{props.children}</span>
    </span>
  );
}
