/** The console's languages. */
export const locales = ["en", "zh-CN"] as const;
export type Locale = (typeof locales)[number];

/** Where a reader's own choice is kept. */
export const localeCookie = "trigon_locale";

/** Each language by its own name. */
export const localeNames: Record<Locale, string> = { en: "English", "zh-CN": "中文" };

/** The reader's own choice, else the best of `Accept-Language` (RFC 9110 12.5.4), else English. */
export function negotiate(chosen: string | undefined, acceptLanguage: string | null): Locale {
  const known = locales.find((locale) => locale === chosen);
  if (known) return known;
  const wanted = (acceptLanguage ?? "")
    .split(",")
    .map((part) => {
      const [tag = "", ...parameters] = part.trim().split(";");
      const quality = parameters.map((text) => text.trim()).find((text) => text.startsWith("q="));
      return { tag: tag.toLowerCase(), quality: quality ? Number(quality.slice(2)) : 1 };
    })
    .filter(({ tag, quality }) => tag !== "" && quality > 0)
    .sort((a, b) => b.quality - a.quality);
  for (const { tag } of wanted) {
    if (tag === "zh" || tag.startsWith("zh-")) return "zh-CN";
    if (tag === "en" || tag.startsWith("en-")) return "en";
  }
  return "en";
}
