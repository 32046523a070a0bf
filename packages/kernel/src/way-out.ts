import { lookup } from "node:dns/promises";
import { linkFlag, NETLINK_ROUTE, NetlinkSocket, RouteClient } from "@trigon/netlink";
import { resolveNeighbour } from "./neighbour.ts";
import { run } from "./run.ts";

/** As `ip -j route` says it. */
interface Route {
  type?: string;
  dst?: string;
  gateway?: string;
  dev?: string;
}

/** What is asked of this machine's routes and neighbours; given in tests. */
export interface WayOut {
  addressesOf(host: string): Promise<string[]>;
  /** The route to an address; undefined when there is none. */
  routeTo(address: string): Promise<Route | undefined>;
  defaultRoutes(): Promise<Route[]>;
  /** Whether somebody answers for an address on a link; true where nobody can be asked. */
  answers(device: string, address: string): Promise<boolean>;
}

/**
 * Whether this machine has no way to a host any more: the host's address is one of its own now, there is no route to it, or the next hop and
 * the gateways are silent. A host that is merely down has a way to it. `found`: the machine's own addresses, without those that Trigon made.
 * Rejects when the routes cannot be read.
 */
export async function isCutOffFrom(host: string, found: readonly string[], machine: WayOut = thisMachine): Promise<boolean> {
  const addresses = await machine.addressesOf(host).catch(() => []);
  for (const address of addresses) if (await hasWay(address, found, machine)) return false;
  return addresses.length > 0 ? !(await isOnlySilent(addresses, machine)) : !(await hasGateway(machine));
}

async function hasWay(address: string, found: readonly string[], machine: WayOut): Promise<boolean> {
  if (found.includes(address)) return true;
  const route = await machine.routeTo(address);
  if (!route?.dev || route.type === "local") return false;
  return machine.answers(route.dev, route.gateway ?? address);
}

/** A host on the same link that says nothing may be down: then a gateway that answers shows that this node is not what is cut off. */
async function isOnlySilent(addresses: readonly string[], machine: WayOut): Promise<boolean> {
  const routes = await Promise.all(addresses.map((address) => machine.routeTo(address)));
  const isOnLink = routes.some((route) => route?.dev && route.type !== "local" && route.gateway === undefined);
  return isOnLink && hasGateway(machine);
}

async function hasGateway(machine: WayOut): Promise<boolean> {
  for (const { gateway, dev } of await machine.defaultRoutes())
    if (gateway && dev && (await machine.answers(dev, gateway))) return true;
  return false;
}

async function ip(...words: string[]): Promise<Route[]> {
  const { code, stdout } = await run("ip", ["-j", ...words], { timeoutMs: 5_000 });
  return code === 0 && stdout.trim() !== "" ? (JSON.parse(stdout) as Route[]) : [];
}

const thisMachine: WayOut = {
  addressesOf: async (host) => (await lookup(host.replace(/^\[(.*)\]$/, "$1"), { all: true })).map(({ address }) => address),
  routeTo: async (address) => (await ip("route", "get", address))[0],
  defaultRoutes: async () => [...(await ip("route", "show", "default")), ...(await ip("-6", "route", "show", "default"))],
  async answers(device, address) {
    const client = new RouteClient(NetlinkSocket.open(NETLINK_ROUTE));
    try {
      const link = (await client.listLinks()).find(({ name }) => name === device);
      if (!link?.up) return false;
      if (!link.mac || (link.flags & (linkFlag.loopback | linkFlag.noArp)) !== 0) return true;
      return (await resolveNeighbour(link.index, address)).length > 0;
    } finally {
      client.close();
    }
  },
};
