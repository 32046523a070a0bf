import { type Resource, serviceKeyOf } from "@trigon/model";
import { type Desired, type Journal, type JournalEntry, type Kernel, type Ledger, meets } from "@trigon/reconciler";

/** What an operator said about services in the kernel's table that Trigon did not make, by resource key. */
export interface ForeignWishes {
  /** Becomes ours as it is: a fragment of the plan wants the very same. */
  adopt: readonly string[];
  /** Becomes ours, and then goes, since nobody wants it. */
  remove: readonly string[];
}

interface Subject {
  kernel: Kernel;
  journal: Journal;
  ledger: Ledger;
  desired: Desired;
}

/** Whether there is anything left to do for these wishes: they are told again and again. */
export function isSettled({ adopt, remove }: ForeignWishes, { ledger, desired }: Pick<Subject, "ledger" | "desired">): boolean {
  return (
    adopt.every((key) => ledger.owns(key) || !desired.get(key)) && remove.every((key) => ledger.owns(key) || desired.get(key))
  );
}

/**
 * Claims in the journal what operators gave over. Nothing is written to the kernel: a service is adopted only when it stands exactly as planned,
 * with every real server; else it stays foreign, and the wish is granted when that is so. One to be removed is the next pass's. Answers the
 * keys that are ours now.
 */
export async function takeOver({ kernel, journal, ledger, desired }: Subject, wishes: ForeignWishes): Promise<string[]> {
  if (isSettled(wishes, { ledger, desired })) return [];
  const observed = await kernel.observeAll([]);
  const claimed: Resource[] = [];
  for (const key of wishes.remove) {
    const have = observed.get(key);
    if (have?.kind === "ipvsService" && !ledger.owns(key) && !desired.get(key)) claimed.push(have);
  }
  for (const key of wishes.adopt) {
    const want = desired.get(key);
    const have = observed.get(key);
    if (want?.kind !== "ipvsService" || ledger.owns(key) || !have || !meets(have, want)) continue;
    if (!standsAsPlanned(key, observed, desired)) continue;
    claimed.push(want);
    for (const resource of desired.resources()) {
      if (
        resource.kind === "address" &&
        resource.address === want.address &&
        observed.has(resource.key) &&
        !ledger.owns(resource.key)
      )
        claimed.push(resource);
    }
  }
  const entries = claimed.map(
    (resource): JournalEntry => ({ op: "claim", bootId: ledger.bootId, key: resource.key, resource, found: null }),
  );
  if (entries.length > 0) await journal.append(entries);
  for (const entry of entries) ledger.record(entry);
  return claimed.map(({ key }) => key);
}

function standsAsPlanned(service: string, observed: ReadonlyMap<string, Resource>, desired: Desired): boolean {
  const isOfIt = (key: string) => key.startsWith("ipvsDestination ") && serviceKeyOf(key) === service;
  for (const [key, have] of observed) {
    const want = isOfIt(key) ? desired.get(key) : have;
    if (!want || !meets(have, want)) return false;
  }
  for (const key of desired.keys()) if (isOfIt(key) && !observed.has(key)) return false;
  return true;
}
