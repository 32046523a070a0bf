import type { Resource, SysctlResource } from "@trigon/model";
import { sameResource } from "./meets.ts";

/** One value that fragments want for a key, and who wants it. */
interface Variant {
  resource: Resource;
  owners: Set<string>;
}

/** Most keys have one owner for life: only those that ever had more keep variants. */
interface Entry {
  merged: Resource;
  owner: string;
  variants: Variant[] | null;
}

export interface DesiredFragment {
  hash: string;
  resources: readonly Resource[];
}

/** Fragments that want a key otherwise than the one that keeps it. */
export interface PlanConflict {
  key: string;
  /** The fragment whose value stands. */
  keeper: string;
  /** The fragments whose value does not. */
  losers: readonly string[];
}

/**
 * What a node shall hold: the union of its fragments, by key. A key lives while any fragment wants it. Every change costs in proportion to
 * the fragment, never to the number of fragments.
 */
export class Desired {
  readonly #fragments = new Map<string, DesiredFragment>();
  readonly #entries = new Map<string, Entry>();

  /**
   * Puts a fragment in the place of what it was, adds the keys that it had or has to `touched`, and answers that. Its resources must have
   * distinct keys; of equal ones the first counts.
   */
  replace(id: string, hash: string, resources: readonly Resource[], touched = new Set<string>()): Set<string> {
    const before = this.#fragments.get(id);
    if (!before) return this.#add(id, hash, resources, touched);
    const next = new Map<string, Resource>();
    for (const resource of resources) if (!next.has(resource.key)) next.set(resource.key, resource);
    for (const key of next.keys()) touched.add(key);
    for (const old of before.resources) {
      touched.add(old.key);
      const now = next.get(old.key);
      if (!now || !sameResource(now, old)) this.#disown(id, old.key);
    }
    for (const resource of next.values()) this.#own(id, resource);
    this.#fragments.set(id, { hash, resources: next.size === resources.length ? resources : [...next.values()] });
    return touched;
  }

  /** A fragment that was not there has nothing to compare with. */
  #add(id: string, hash: string, resources: readonly Resource[], touched: Set<string>): Set<string> {
    const distinct = resources.filter((resource) => this.#own(id, resource));
    for (const { key } of distinct) touched.add(key);
    this.#fragments.set(id, { hash, resources: distinct });
    return touched;
  }

  /** Takes a fragment away, adds the keys that it had to `touched`, and answers that. An id that is not there is no error. */
  remove(id: string, touched = new Set<string>()): Set<string> {
    const before = this.#fragments.get(id);
    for (const { key } of before?.resources ?? []) {
      touched.add(key);
      this.#disown(id, key);
    }
    this.#fragments.delete(id);
    return touched;
  }

  get(key: string): Resource | undefined {
    return this.#entries.get(key)?.merged;
  }

  fragment(id: string): DesiredFragment | undefined {
    return this.#fragments.get(id);
  }

  fragmentIds(): IterableIterator<string> {
    return this.#fragments.keys();
  }

  keys(): IterableIterator<string> {
    return this.#entries.keys();
  }

  *resources(): Generator<Resource> {
    for (const { merged } of this.#entries.values()) yield merged;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The fragments that want the key, whatever value they want. */
  owners(key: string): string[] {
    const entry = this.#entries.get(key);
    if (!entry) return [];
    return entry.variants ? entry.variants.flatMap(({ owners }) => [...owners]) : [entry.owner];
  }

  /** The disagreement about a key, or undefined when there is none. */
  conflict(key: string): PlanConflict | undefined {
    const entry = this.#entries.get(key);
    if (!entry?.variants || entry.variants.length < 2) return undefined;
    const losers = entry.variants
      .filter(({ resource }) => !satisfies(entry.merged, resource))
      .flatMap(({ owners }) => [...owners]);
    if (losers.length === 0) return undefined;
    return { key, keeper: firstOwner(keeper(entry.variants)), losers: losers.toSorted() };
  }

  /** Answers false for a key that the fragment has already: that stays as it is. */
  #own(id: string, resource: Resource): boolean {
    const entry = this.#entries.get(resource.key);
    if (!entry) {
      this.#entries.set(resource.key, { merged: resource, owner: id, variants: null });
      return true;
    }
    if (entry.variants?.some(({ owners }) => owners.has(id))) return false;
    if (entry.variants === null) {
      if (entry.owner === id) return false;
      entry.variants = [{ resource: entry.merged, owners: new Set([entry.owner]) }];
    }
    const same = entry.variants.find((variant) => sameResource(variant.resource, resource));
    if (same) {
      same.owners.add(id);
      if (entry.variants.length === 1) return true;
    } else {
      entry.variants.push({ resource, owners: new Set([id]) });
    }
    this.#settle(entry, entry.variants);
    return true;
  }

  #disown(id: string, key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    if (entry.variants === null) {
      if (entry.owner === id) this.#entries.delete(key);
      return;
    }
    for (const variant of entry.variants) variant.owners.delete(id);
    const left = entry.variants.filter(({ owners }) => owners.size > 0);
    if (left.length === 0) this.#entries.delete(key);
    else if (left.length !== entry.variants.length || left.length > 1) {
      entry.variants = left;
      this.#settle(entry, left);
    }
  }

  /** Keeps the same object while the value stays the same, so that "already verified" can be told by identity. */
  #settle(entry: Entry, variants: readonly Variant[]): void {
    const merged = merge(variants);
    if (!sameResource(merged, entry.merged)) entry.merged = merged;
  }
}

/** Numbers that must be at least so much agree on the greatest; anything else is the keeper's. */
function merge(variants: readonly Variant[]): Resource {
  const kept = keeper(variants).resource;
  if (kept.kind !== "sysctl" || kept.atLeast === undefined) return kept;
  const floors = variants.map(({ resource }) => (resource as SysctlResource).atLeast ?? 0);
  const { value: _, ...open } = kept;
  return { ...open, atLeast: Math.max(...floors) };
}

/**
 * A default gives way to anything; an exact value stands before a floor (which it may well satisfy); among equals the first fragment id does,
 * whatever the order of arrival.
 */
function keeper(variants: readonly Variant[]): Variant {
  const isExact = ({ resource }: Variant) => !(resource.kind === "sysctl" && resource.value === undefined);
  const isMeant = ({ resource }: Variant) => !(resource.kind === "sysctl" && resource.isDefault);
  const meant = variants.some(isMeant) ? variants.filter(isMeant) : variants;
  const candidates = meant.some(isExact) ? meant.filter(isExact) : meant;
  return candidates.reduce((best, variant) => (firstOwner(variant) < firstOwner(best) ? variant : best));
}

function firstOwner({ owners }: Variant): string {
  let first: string | undefined;
  for (const owner of owners) if (first === undefined || owner < first) first = owner;
  return first ?? "";
}

/** Whether the value that stands also is good enough for a fragment that asked for another. */
function satisfies(stands: Resource, asked: Resource): boolean {
  if (sameResource(stands, asked)) return true;
  if (stands.kind !== "sysctl" || asked.kind !== "sysctl") return false;
  if (asked.isDefault) return true;
  if (asked.atLeast === undefined) return false;
  return (stands.atLeast ?? Number(stands.value)) >= asked.atLeast;
}
