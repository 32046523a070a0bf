import { kindOfKey, type Resource, type ResourceKind } from "@trigon/model";
import type { Found } from "./kernel.ts";

/**
 * One line of the intent journal. `claim` is written before a key is created or changed (with what was found there, for settings);
 * `release` after it is gone, put back, or was never made.
 */
export type JournalEntry =
  | { op: "claim"; bootId: string; key: string; resource: Resource; found: Found | null }
  | { op: "release"; bootId: string; key: string };

/** Where intents go. `append` answers only when the entries would survive a power cut. */
export interface Journal {
  append(entries: readonly JournalEntry[]): void | Promise<void>;
}

export interface Claim {
  bootId: string;
  /** The last value we set out to make. */
  resource: Resource;
  /** The one before it in this boot, which stands if the last was never reached. */
  previous: Resource | null;
  /** What was there before us; null for things that were not there. */
  found: Found | null;
}

/** What is ours in this kernel, as the journal tells it. */
export class Ledger {
  readonly bootId: string;
  readonly #claims = new Map<string, Claim>();

  /** The ledger after these entries. Claims of an older boot stand for objects (keys stay ours), not for settings: the boot itself put those back. */
  constructor(bootId: string, entries: Iterable<JournalEntry> = []) {
    this.bootId = bootId;
    for (const entry of entries) this.record(entry);
    for (const [key, claim] of this.#claims) if (claim.bootId !== bootId && isSetting(key)) this.#claims.delete(key);
  }

  record(entry: JournalEntry): void {
    if (entry.op === "release") {
      this.#claims.delete(entry.key);
      return;
    }
    const { bootId, key, resource, found } = entry;
    const before = this.#claims.get(key);
    // The first value found in a boot is the machine's own; later ones are ours.
    const isOurs = before !== undefined && before.bootId === bootId;
    this.#claims.set(key, {
      bootId,
      resource,
      previous: isOurs ? before.resource : null,
      found: isOurs ? before.found : found,
    });
  }

  get(key: string): Claim | undefined {
    return this.#claims.get(key);
  }

  owns(key: string): boolean {
    return this.#claims.has(key);
  }

  keys(): IterableIterator<string> {
    return this.#claims.keys();
  }

  get size(): number {
    return this.#claims.size;
  }

  /** The shortest journal with the same meaning. */
  entries(): JournalEntry[] {
    return [...this.#claims].flatMap(([key, { bootId, resource, previous, found }]) => {
      const claim = (value: Resource): JournalEntry => ({ op: "claim", bootId, key, resource: value, found });
      return previous && isSetting(key) ? [claim(previous), claim(resource)] : [claim(resource)];
    });
  }
}

/** Settings have a value whether or not we care; they are put back, never deleted. */
export function isSettingKind(kind: ResourceKind): boolean {
  return kind === "sysctl" || kind === "linkState" || kind === "module";
}

export function isSetting(key: string): boolean {
  return isSettingKind(kindOfKey(key));
}
