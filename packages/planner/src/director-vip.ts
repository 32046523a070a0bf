import { type DirectorVipFragment, type Facts, familyOf, type Resource } from "@trigon/model";
import { defaultRoute, onLinkInterface } from "./network.ts";
import { ResolveError } from "./resolve-error.ts";
import { hostAddress } from "./resources.ts";
import { closedVip } from "./vip-guard.ts";

/**
 * The VIP as an address of the director, closed to all but its services: on the interface whose network holds it, else on that of the default route. None when VRRP holds it.
 * Throws `ResolveError` when the node has no interface for it.
 */
export function directorVip({ vip, heldBy, ping }: DirectorVipFragment, facts: Facts): Resource[] {
  if (heldBy === "vrrp") return [];
  const name = onLinkInterface(vip, facts)?.name ?? defaultRoute(facts, familyOf(vip))?.interface;
  if (!name)
    throw new ResolveError(
      "vip.noInterface",
      `No interface of ${facts.hostname} can hold ${vip}: none is in its network and there is no default route.`,
    );
  const closed = ping === undefined ? [] : closedVip("director", vip, ping, facts);
  return [...closed, hostAddress(name, vip, "vipOnDirector")];
}
