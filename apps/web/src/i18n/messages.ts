import type { Locale } from "./locale.ts";
import en from "./messages/en.json" with { type: "json" };
import zhCN from "./messages/zh-CN.json" with { type: "json" };

/** Every sentence of one language. A test keeps the two files' keys and gaps alike. */
export function messagesOf(locale: Locale): typeof en {
  return locale === "zh-CN" ? (zhCN as typeof en) : en;
}
