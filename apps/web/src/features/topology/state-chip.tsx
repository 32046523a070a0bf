"use client";
import { Chip, type Tone } from "@trigon/ui";
import { CircleCheck, CircleDashed, CircleHelp, CirclePause, CircleX, type LucideIcon } from "lucide-react";
import { useTranslations } from "use-intl";
import type { NodeState } from "./graph.ts";

/** No two states share an icon: colour is never alone. */
export const stateLooks: Record<NodeState, { tone: Tone; icon: LucideIcon; ink: string; dot: string }> = {
  serving: { tone: "good", icon: CircleCheck, ink: "text-good", dot: "bg-good" },
  partly: { tone: "warn", icon: CircleDashed, ink: "text-warn", dot: "bg-warn" },
  idle: { tone: "idle", icon: CirclePause, ink: "text-soft", dot: "border border-line-strong" },
  broken: { tone: "bad", icon: CircleX, ink: "text-bad", dot: "bg-bad" },
  unknown: { tone: "idle", icon: CircleHelp, ink: "text-soft", dot: "bg-line-strong" },
};

export function StateChip({ state }: { state: NodeState }) {
  const t = useTranslations("topology");
  const { tone, icon } = stateLooks[state];
  return (
    <Chip tone={tone} icon={icon}>
      {t(`state.${state}`)}
    </Chip>
  );
}
