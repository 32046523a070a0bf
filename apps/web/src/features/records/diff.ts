/** One field that a change touched. `null` where there was nothing, or nothing is left. */
export interface FieldChange {
  path: string;
  before: string | null;
  after: string | null;
}

/**
 * What a change did, field by field, in the order of the fields. Real servers are matched by id (else by RIP and port), so that moving one
 * in the list is no change. Read-only fields are left out.
 */
export function fieldChanges(before: unknown, after: unknown): FieldChange[] {
  const old = flatten(before);
  const now = flatten(after);
  return [...new Set([...old.keys(), ...now.keys()])]
    .map((path) => ({ path, before: old.get(path) ?? null, after: now.get(path) ?? null }))
    .filter((change) => change.before !== change.after);
}

const readOnly = new Set(["id", "revision", "status", "createdAt", "updatedAt", "lint", "sequence"]);

function flatten(value: unknown, path = "", into = new Map<string, string>()): Map<string, string> {
  if (value === null || value === undefined) return into;
  if (Array.isArray(value)) {
    if (value.every((item) => typeof item !== "object")) into.set(path, value.join(", "));
    else for (const [index, item] of value.entries()) flatten(item, `${path} ${nameOf(item, index)}`, into);
    return into;
  }
  if (typeof value === "object") {
    for (const [key, item] of Object.entries(value)) {
      if (!readOnly.has(key)) flatten(item, path === "" ? key : `${path} · ${key}`, into);
    }
    return into;
  }
  into.set(path, String(value));
  return into;
}

function nameOf(item: unknown, index: number): string {
  const { rip, port, id } = item as { rip?: unknown; port?: unknown; id?: unknown };
  if (typeof rip === "string") return typeof port === "number" ? `${rip}:${port}` : rip;
  return typeof id === "string" ? id : String(index + 1);
}
