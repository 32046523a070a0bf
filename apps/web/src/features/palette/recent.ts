import type { SearchHit } from "@trigon/model";

const storageKey = "trigon_recent";
const most = 6;

/** What was opened from the palette last, the newest first. Kept in this browser; nothing where it may keep nothing. */
export function recentHits(): SearchHit[] {
  try {
    const list: unknown = JSON.parse(localStorage.getItem(storageKey) ?? "[]");
    return Array.isArray(list) ? list.filter(isHit).slice(0, most) : [];
  } catch {
    return [];
  }
}

export function remember(hit: SearchHit): void {
  const others = recentHits().filter((one) => one.id !== hit.id || one.kind !== hit.kind || one.address !== hit.address);
  try {
    localStorage.setItem(storageKey, JSON.stringify([hit, ...others].slice(0, most)));
  } catch {
    // Storage is full or forbidden: the palette does without.
  }
}

function isHit(value: unknown): value is SearchHit {
  const hit = value as Partial<SearchHit> | null;
  return typeof hit?.id === "string" && typeof hit.kind === "string" && typeof hit.name === "string";
}
