import { type FactRoute, type Facts, type Family, familyOf, inNetwork, type NetworkInterface } from "@trigon/model";

/** A usable interface: up, and not the loopback. */
function isLeg(candidate: NetworkInterface): boolean {
  return candidate.up && candidate.name !== "lo";
}

/** The interface whose own network holds the address (the longest prefix wins), or undefined when the address is behind a router. */
export function onLinkInterface(address: string, facts: Facts): NetworkInterface | undefined {
  let best: { leg: NetworkInterface; prefix: number } | undefined;
  for (const leg of facts.interfaces.filter(isLeg)) {
    for (const own of leg.addresses) {
      if (!inNetwork(address, own.address, own.prefix)) continue;
      if (!best || own.prefix > best.prefix) best = { leg, prefix: own.prefix };
    }
  }
  return best?.leg;
}

/** The main table's answer for an address: longest prefix, then lowest metric. */
export function routeToward(address: string, facts: Facts): FactRoute | undefined {
  const family = familyOf(address);
  const covering = facts.routes.filter(
    (route) => route.family === family && (route.destination === null || inNetwork(address, route.destination, route.prefix)),
  );
  const length = (route: FactRoute) => (route.destination === null ? -1 : route.prefix);
  return covering.toSorted((a, b) => length(b) - length(a) || a.metric - b.metric)[0];
}

/** The best default route of a family. */
export function defaultRoute(facts: Facts, family: Family): FactRoute | undefined {
  return facts.routes
    .filter((route) => route.family === family && route.destination === null)
    .toSorted((a, b) => a.metric - b.metric)[0];
}

/** Where a packet for the address leaves: the on-link interface, else the one of the best route. */
export function interfaceToward(address: string, facts: Facts): NetworkInterface | undefined {
  const onLink = onLinkInterface(address, facts);
  if (onLink) return onLink;
  const name = routeToward(address, facts)?.interface;
  return facts.interfaces.find((candidate) => candidate.name === name);
}

/** The address a packet toward `address` leaves with: one in the same network, else the leaving interface's first of that family. */
export function sourceToward(address: string, facts: Facts): { address: string; mac: string | null } | undefined {
  const leg = interfaceToward(address, facts);
  if (!leg) return undefined;
  const family = familyOf(address);
  const usable = leg.addresses.filter((own) => familyOf(own.address) === family && !isLinkLocal(own.address));
  const own = usable.find((candidate) => inNetwork(address, candidate.address, candidate.prefix)) ?? usable[0];
  return own && { address: own.address, mac: leg.mac };
}

/** The address people know a node by: the first of the default route's interface, else the first of any leg. */
export function mainAddress(facts: Facts, family: Family): string | undefined {
  const name = defaultRoute(facts, family)?.interface;
  const legs = facts.interfaces.filter(isLeg).toSorted((a, b) => Number(b.name === name) - Number(a.name === name));
  for (const leg of legs) {
    const own = leg.addresses.find((candidate) => familyOf(candidate.address) === family && !isLinkLocal(candidate.address));
    if (own) return own.address;
  }
  return undefined;
}

function isLinkLocal(address: string): boolean {
  return inNetwork(address, "fe80::", 10) || inNetwork(address, "169.254.0.0", 16);
}
