import { type DirectorVipFragment, type Facts, familyOf, type Resource } from "@trigon/model";
import { defaultRoute, onLinkInterface } from "./network.ts";
import { ResolveError } from "./resolve-error.ts";
import { hostAddress } from "./resources.ts";

/**
 * The VIP as an address of the director: on the interface whose network holds it, else on that of the default route. None when VRRP holds it.
 * Throws `ResolveError` when the node has no interface for it.
 */
export function directorVip({ vip, heldBy }: DirectorVipFragment, facts: Facts): Resource[] {
  if (heldBy === "vrrp") return [];
  const name = onLinkInterface(vip, facts)?.name ?? defaultRoute(facts, familyOf(vip))?.interface;
  if (!name)
    throw new ResolveError(
      "vip.noInterface",
      `No interface of ${facts.hostname} can hold ${vip}: none is in its network and there is no default route.`,
    );
  return [hostAddress(name, vip, "vipOnDirector")];
}
