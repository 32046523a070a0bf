import { createSocket } from "node:dgram";
import { NETLINK_ROUTE, NetlinkSocket, type RouteClient, routeTable } from "@trigon/netlink";
import { gratuitousArp } from "./arping.ts";
import { KernelError } from "./failure.ts";
import { forgetNeighbour } from "./neighbour.ts";

/** The discard service (RFC 863): the packet only makes the kernel look its target up. */
const DISCARD_PORT = 9;

/**
 * Tells the link that an address of this node is here. IPv4: gratuitous ARP. IPv6: no program at hand sends unsolicited advertisements, so
 * the interface's routers are solicited from the address, which makes them update their entry for it (RFC 4861, 7.2.3).
 */
export async function announceAddress(client: RouteClient, interfaceName: string, address: string): Promise<void> {
  if (!address.includes(":")) return gratuitousArp(interfaceName, address);
  const link = await client.getLink(interfaceName);
  if (!link) throw new KernelError("ENODEV", `Could not announce ${address}: there is no interface ${interfaceName}`);
  const routes = await client.listRoutes({ family: "inet6", table: routeTable.main });
  const routers = new Set(routes.flatMap(({ index, gateway }) => (gateway && index === link.index ? [gateway] : [])));
  const socket = NetlinkSocket.open(NETLINK_ROUTE);
  try {
    for (const router of routers) {
      await forgetNeighbour(socket, link.index, router);
      await sendFrom(address, router.startsWith("fe80:") ? `${router}%${interfaceName}` : router);
    }
  } finally {
    socket.close();
  }
}

function sendFrom(source: string, target: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createSocket({ type: "udp6", ipv6Only: true });
    const finish = (error: Error | null) => {
      socket.close();
      if (error) reject(error);
      else resolve();
    };
    socket.once("error", finish);
    socket.bind({ address: source, port: 0 }, () => socket.send(Buffer.alloc(1), DISCARD_PORT, target, finish));
  });
}
