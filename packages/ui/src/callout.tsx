import { CircleAlert, CircleCheck, Info, TriangleAlert } from "lucide-react";
import type { ReactNode } from "react";
import { cn } from "./cn.ts";

const looks = {
  info: { icon: Info, style: "border-busy/30 bg-busy-soft", ink: "text-busy" },
  good: { icon: CircleCheck, style: "border-good/30 bg-good-soft", ink: "text-good" },
  warn: { icon: TriangleAlert, style: "border-warn/35 bg-warn-soft", ink: "text-warn" },
  bad: { icon: CircleAlert, style: "border-bad/35 bg-bad-soft", ink: "text-bad" },
};

/** A message in the page's flow, with what to do about it. `bad` is announced at once, the others politely. */
export function Callout(props: {
  tone?: keyof typeof looks;
  title?: ReactNode;
  children?: ReactNode;
  action?: ReactNode;
  className?: string;
}) {
  const tone = props.tone ?? "info";
  const { icon: Icon, style, ink } = looks[tone];
  return (
    <div
      role={tone === "bad" ? "alert" : "status"}
      className={cn("flex items-start gap-2.5 rounded-lg border px-3.5 py-2.5", style, props.className)}
    >
      <Icon aria-hidden className={cn("mt-0.5 size-4 shrink-0", ink)} />
      <div className="min-w-0 flex-1 break-words">
        {props.title ? <p className={cn("font-medium", ink)}>{props.title}</p> : null}
        {props.children ? <div className="text-ink text-[0.8125rem]">{props.children}</div> : null}
      </div>
      {props.action ? <div className="shrink-0">{props.action}</div> : null}
    </div>
  );
}
