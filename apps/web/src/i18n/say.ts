"use client";
import { useLocale, useTranslations } from "use-intl";

/** Fills the gaps of a sentence. */
export type Values = Record<string, string | number>;

/** Sentences that are looked up by a code from the wire. */
type Family =
  | "problem"
  | "fieldError"
  | "lint"
  | "reason"
  | "auditEvent"
  | "agentEvent"
  | "step"
  | "groupFinding"
  | "upgradeReason";

/**
 * A sentence for a code that came over the wire (an error, a reason, an event). A code this console does not know, or a sentence that
 * needs a value the server did not send, falls back to the server's own English.
 */
export function useSay(): (family: Family, code: string, fallback: string, values?: Values) => string {
  const t = useTranslations();
  const locale = useLocale();
  return (family, code, fallback, values) => {
    // The server's reason names the node and the cause; in English nothing says it better.
    if (family === "reason" && locale === "en" && fallback !== "") return fallback;
    const key = `${family}.${code}` as Parameters<typeof t.has>[0];
    if (!t.has(key)) return fallback;
    const sentence: unknown = t.raw(key);
    if (typeof sentence !== "string") return fallback;
    const gaps = [...sentence.matchAll(/\{(\w+)/g)].map((match) => match[1] ?? "");
    if (gaps.some((gap) => values?.[gap] === undefined)) return fallback;
    return t(key, values as never);
  };
}
