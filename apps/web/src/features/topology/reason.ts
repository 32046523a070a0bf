"use client";
import type { TopologyLink } from "@trigon/model";
import { useLocale, useTranslations } from "use-intl";

/** Why a way carries nothing, in the reader's language; null where it carries. In English the server's own words name what was observed. */
export function useReason(): (link: Pick<TopologyLink, "reason" | "message">) => string | null {
  const t = useTranslations("linkReason");
  const locale = useLocale();
  return ({ reason, message }) => {
    if (reason === null) return null;
    return locale === "en" && message ? message : t(reason);
  };
}
