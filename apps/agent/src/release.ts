import { kindOfKey, type RawFragment, resourceKey, serviceKeyOf } from "@trigon/model";
import { staysWhenReleased } from "@trigon/planner";
import type { Desired, Ledger } from "@trigon/reconciler";

/**
 * The keys that cease to be ours when these fragments are let go of: what carries their packets stays in the kernel, as a stranger's. Where
 * another fragment wants a key it stays ours, but for the VIPs: a service that is removed later must not take theirs away.
 */
export function keysToLetGo(
  released: readonly RawFragment[],
  { ledger, desired }: { ledger: Ledger; desired: Pick<Desired, "fragment" | "owners"> },
): string[] {
  const ids = new Set(released.map(({ id }) => id));
  const vips = new Set(released.map(({ vip }) => vip));
  const services = new Set(
    released.flatMap(({ kind, protocol, vip, port }) =>
      kind === "director.service" ? [resourceKey.ipvsService(protocol as "tcp", vip as string, port as number)] : [],
    ),
  );
  const keys = new Set<string>();
  for (const key of ledger.keys()) {
    const kind = kindOfKey(key);
    const resource = kind === "address" ? ledger.get(key)!.resource : undefined;
    const isOfService = services.has(kind === "ipvsDestination" ? serviceKeyOf(key) : key);
    if (isOfService || (resource?.kind === "address" && vips.has(resource.address))) keys.add(key);
  }
  for (const id of ids)
    for (const resource of desired.fragment(id)?.resources ?? [])
      if (
        staysWhenReleased(resource) &&
        ledger.owns(resource.key) &&
        desired.owners(resource.key).every((owner) => ids.has(owner))
      )
        keys.add(resource.key);
  return [...keys];
}
