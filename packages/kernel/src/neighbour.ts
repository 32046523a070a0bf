import {
  attr,
  attributes,
  type Family,
  familyNumber,
  familyOf,
  inet,
  NETLINK_ROUTE,
  NetlinkSocket,
  RouteClient,
} from "@trigon/netlink";
import { NLM_F_CREATE } from "@trigon/netlink/message";
import { encodeRoute } from "@trigon/netlink/rtnetlink/header";

/** RTM_NEWNEIGH and RTM_DELNEIGH of <linux/rtnetlink.h>; NTF_USE of <linux/neighbour.h>: look it up now. */
const NEW_NEIGHBOUR = 28;
const DELETE_NEIGHBOUR = 29;
const NTF_USE = 1;

/** How often the kernel is made to ask, and how long it waits for an answer each time, in milliseconds. */
const TRIES = 3;
const WAIT_MS = 150;
const LOOK_EVERY_MS = 15;

const neighbourAttributes = attributes({ address: attr(1, inet) });

/** struct ndmsg of <linux/neighbour.h>: family u8, three to pad, index i32, state u16, flags u8, type u8. */
function neighbourMessage(type: number, index: number, address: string): Buffer {
  const struct = Buffer.alloc(12);
  struct[0] = familyNumber(familyOf(address));
  struct.writeInt32LE(index, 4);
  if (type === NEW_NEIGHBOUR) struct[10] = NTF_USE;
  const flags = type === NEW_NEIGHBOUR ? NLM_F_CREATE : 0;
  return encodeRoute(type, flags, struct, (writer) => neighbourAttributes.write(writer, { address }));
}

/** Drops what the kernel remembers of a neighbour; none is as good. */
export async function forgetNeighbour(socket: NetlinkSocket, index: number, address: string): Promise<void> {
  await socket.request(neighbourMessage(DELETE_NEIGHBOUR, index, address), `forget neighbour ${address}`).catch(() => undefined);
}

/** Makes the kernel ask for a neighbour now. */
export async function askForNeighbour(socket: NetlinkSocket, index: number, address: string): Promise<void> {
  await socket.request(neighbourMessage(NEW_NEIGHBOUR, index, address), `look up neighbour ${address}`);
}

/**
 * The link address that answers for an address, by the kernel's own neighbour resolution (ARP, RFC 4861): needs no program, and works for an
 * address that no route leads to. At most one holder is seen. What the kernel remembered of the address before is forgotten.
 */
export async function resolveNeighbour(index: number, address: string): Promise<string[]> {
  const socket = NetlinkSocket.open(NETLINK_ROUTE);
  const client = new RouteClient(socket);
  const family: Family = familyOf(address);
  try {
    for (let attempt = 0; attempt < TRIES; attempt++) {
      await forgetNeighbour(socket, index, address);
      await askForNeighbour(socket, index, address);
      for (const deadline = Date.now() + WAIT_MS; Date.now() < deadline; ) {
        await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
        const seen = (await client.listNeighbours({ family, index })).find((neighbour) => neighbour.address === address);
        if (seen?.mac && seen.state !== "failed") return [seen.mac];
      }
    }
    return [];
  } finally {
    await forgetNeighbour(socket, index, address);
    client.close();
  }
}
