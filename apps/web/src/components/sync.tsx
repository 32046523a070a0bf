"use client";
import type { SyncState, SyncSummary } from "@trigon/model";
import { StatusChip } from "@trigon/ui";
import { useTranslations } from "use-intl";
import { useSay } from "../i18n/say.ts";

/** The sync chip in the reader's language. Its reason stands beneath it, unless all is well or there is no room. */
export function SyncChip({ sync, compact = false }: { sync: SyncSummary; compact?: boolean }) {
  const t = useTranslations("sync");
  const say = useSay();
  const calm = sync.state === "inSync" || sync.state === "disabled";
  return (
    <StatusChip
      state={sync.state}
      label={t(sync.state)}
      reason={calm || compact ? undefined : say("reason", sync.reason, sync.message)}
    />
  );
}

/** The states that ask for somebody's attention. */
export function needsAttention(state: SyncState): boolean {
  return state === "failed" || state === "conflict" || state === "waiting" || state === "unknown";
}
