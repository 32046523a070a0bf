import type { SyncState } from "@trigon/model";
import {
  CircleCheck,
  CircleHelp,
  CirclePause,
  CircleX,
  GitCompareArrows,
  Hourglass,
  LoaderCircle,
  type LucideIcon,
} from "lucide-react";
import { Chip, type Tone } from "./chip.tsx";

/** One icon and tone for each sync state; no two states share an icon. */
export const syncLooks: Record<SyncState, { tone: Tone; icon: LucideIcon; spin?: boolean }> = {
  inSync: { tone: "good", icon: CircleCheck },
  applying: { tone: "busy", icon: LoaderCircle, spin: true },
  waiting: { tone: "warn", icon: Hourglass },
  failed: { tone: "bad", icon: CircleX },
  conflict: { tone: "bad", icon: GitCompareArrows },
  unknown: { tone: "idle", icon: CircleHelp },
  disabled: { tone: "idle", icon: CirclePause },
};

/** The sync chip, and its reason beneath when there is something to say. Both texts come in the reader's language. */
export function StatusChip(props: { state: SyncState; label: string; reason?: string; className?: string }) {
  const { tone, icon, spin } = syncLooks[props.state];
  return (
    <span className={props.className ?? "inline-flex max-w-full flex-col items-start gap-0.5 max-sm:items-end"}>
      <Chip tone={tone} icon={icon} spin={spin} title={props.reason}>
        {props.label}
      </Chip>
      {props.reason ? (
        <span className="block max-w-[34ch] whitespace-normal text-soft text-xs leading-snug">{props.reason}</span>
      ) : null}
    </span>
  );
}
