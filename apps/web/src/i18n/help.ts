import en from "./help/en.json" with { type: "json" };
import zhCN from "./help/zh-CN.json" with { type: "json" };
import type { Locale } from "./locale.ts";

/** The operators' help in one language. Beside the messages, which every page carries: only its own page needs it. */
export interface Help {
  title: string;
  hint: string;
  complaints: { title: string; hint: string; items: { complaint: string; answer: string; href?: string; link?: string }[] };
}

/** A test keeps both languages alike. */
export function helpOf(locale: Locale): Help {
  return locale === "zh-CN" ? zhCN : en;
}
