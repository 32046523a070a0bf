/** Prisma's filter for "has this text somewhere, in any case". */
export const contains = (text: string) => ({ contains: text, mode: "insensitive" as const });

/** Whether any of the texts has every word of the query, in any case. */
export function matches(query: string | undefined, ...texts: readonly (string | number | null)[]): boolean {
  if (!query) return true;
  const all = texts.join(" ").toLowerCase();
  return query
    .toLowerCase()
    .split(/\s+/)
    .every((word) => all.includes(word));
}
