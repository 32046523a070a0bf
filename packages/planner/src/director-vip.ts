import { type DirectorVipFragment, type Facts, familyOf, type Resource } from "@trigon/model";
import { defaultRoute, onLinkInterface } from "./network.ts";
import { ResolveError } from "./resolve-error.ts";
import { hostAddress } from "./resources.ts";
import { closedVip, sparingResets } from "./vip-guard.ts";

/**
 * The VIP as an address of the director, closed to all but its services: on the interface whose network holds it, else on that of the default route. When VRRP
 * holds it, the address is keepalived's, and it is closed on every member all the same.
 * Throws `ResolveError` when the node has no interface for it.
 */
export function directorVip({ vip, heldBy, ping }: DirectorVipFragment, facts: Facts): Resource[] {
  const name = onLinkInterface(vip, facts)?.name ?? defaultRoute(facts, familyOf(vip))?.interface;
  if (!name)
    throw new ResolveError(
      "vip.noInterface",
      `No interface of ${facts.hostname} can hold ${vip}: none is in its network and there is no default route.`,
    );
  const closed = ping === undefined ? [] : [...closedVip("director", vip, ping, facts), ...sparingResets(vip, facts)];
  return heldBy === "vrrp" ? closed : [...closed, hostAddress(name, vip, "vipOnDirector")];
}
