import { readFileSync } from "node:fs";
import { hostname, machine, release } from "node:os";
import { type FactRoute, type Facts, type IptablesBackend, type NetworkInterface, resourceKey } from "@trigon/model";
import { type InterfaceAddress, type Link, type Route, type RouteClient, routeTable } from "@trigon/netlink";
import { moduleState } from "./machine.ts";

/** Modules that a plan does without where they are missing. */
const wished = [
  "xt_mac",
  "xt_addrtype",
  "xt_mark",
  "xt_TCPMSS",
  "iptable_security",
  "ip6table_security",
  "xt_hashlimit",
] as const;

/** Whether the thing of this resource key was made by Trigon, and so is no fact about the machine. */
export type IsOurs = (key: string) => boolean;

/** What only this node knows now, without what `isOurs` says was made by us. */
export async function readFacts(client: RouteClient, isOurs: IsOurs, iptables: IptablesBackend): Promise<Facts> {
  const allLinks = await client.listLinks();
  const addresses = await client.listAddresses();
  const routes = await client.listRoutes({ table: routeTable.main });
  const links = allLinks.filter(({ name }) => !isOurs(resourceKey.link(name)));
  const names = new Map(links.map(({ index, name }) => [index, name]));
  const isOurAddress = (name: string, address: string, prefix: number) => isOurs(resourceKey.address(name, address, prefix));
  const lacking = wished.filter((name) => moduleState(name) === "missing");
  return {
    hostname: hostname(),
    machineId: readLine("/etc/machine-id"),
    bootId: readLine("/proc/sys/kernel/random/boot_id"),
    kernel: release(),
    architecture: machine(),
    interfaces: links.map((link) => networkInterface(link, addresses, isOurAddress)),
    routes: routes.flatMap((route) => factRoutes(route, names)).filter((route) => !isRouteOfOurs(route, isOurAddress)),
    resolvers: readResolvers(),
    iptables,
    ...(lacking.length > 0 ? { lacks: lacking } : {}),
    takes: ["released"],
  };
}

function networkInterface(
  { index, name, mac, mtu, up }: Link,
  addresses: readonly InterfaceAddress[],
  isOurAddress: (name: string, address: string, prefix: number) => boolean,
): NetworkInterface {
  const found = addresses.filter((address) => address.index === index && !isOurAddress(name, address.address, address.prefix));
  return { name, mac: mac ?? null, mtu, up, addresses: found.map(({ address, prefix }) => ({ address, prefix })) };
}

/** One fact for each next hop; none for a route whose every device is ours. */
function factRoutes(route: Route, names: ReadonlyMap<number, string>): FactRoute[] {
  if (route.type !== "unicast") return [];
  const slash = route.destination.indexOf("/");
  const prefix = Number(route.destination.slice(slash + 1));
  const hops = route.nextHops ?? [{ gateway: route.gateway, index: route.index }];
  return hops.flatMap(({ gateway, index }) => {
    const name = index === undefined ? null : names.get(index);
    if (name === undefined) return [];
    return {
      family: route.family === "inet" ? (4 as const) : (6 as const),
      destination: prefix === 0 ? null : route.destination.slice(0, slash),
      prefix,
      gateway: gateway ?? null,
      interface: name,
      metric: route.metric ?? 0,
    };
  });
}

/** The kernel lists an IPv6 address's own /128 in the main table. */
function isRouteOfOurs(
  { destination, prefix, gateway, interface: name }: FactRoute,
  isOurAddress: (name: string, address: string, prefix: number) => boolean,
): boolean {
  return destination !== null && gateway === null && name !== null && isOurAddress(name, destination, prefix);
}

/** systemd-resolved's stub says nothing of where questions go; its own file does. */
function readResolvers(): string[] {
  const listed = nameservers("/etc/resolv.conf");
  const isStub = listed.length > 0 && listed.every((address) => address.startsWith("127.0.0.5"));
  return isStub ? nameservers("/run/systemd/resolve/resolv.conf") : listed;
}

function nameservers(path: string): string[] {
  const found = [...readText(path).matchAll(/^\s*nameserver\s+(\S+)/gm)].map((match) => match[1]!.split("%")[0]!);
  return [...new Set(found)].slice(0, 16);
}

const readLine = (path: string): string => readText(path).trim();

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
