import { isNetlinkError } from "./errors.ts";
import { writeMessage } from "./message.ts";
import { NetlinkSocket, openRawSocket } from "./transport.ts";
import { Writer } from "./writer.ts";

/** NETLINK_NETFILTER of <linux/netlink.h> and NFNLGRP_NFTABLES of <linux/netfilter/nfnetlink.h>. */
const NETLINK_NETFILTER = 12;
const NFNLGRP_NFTABLES = 7;
/** NFNL_SUBSYS_NFTABLES of <linux/netfilter/nfnetlink.h> before NFT_MSG_GETGEN of <linux/netfilter/nf_tables.h>. */
const GET_GENERATION = (10 << 8) | 16;
/** struct nfgenmsg: any family, version 0, no resource. */
const NFGENMSG = 4;

/** Whether the kernel of this network namespace has nftables; asking loads its module where there is one. True when the kernel does not say. */
export async function hasNftables(): Promise<boolean> {
  let socket: NetlinkSocket | undefined;
  try {
    socket = NetlinkSocket.open(NETLINK_NETFILTER);
    const writer = new Writer(32);
    writeMessage(writer, GET_GENERATION, 0, (body) => body.setU32(body.reserve(NFGENMSG), 0));
    await socket.request(writer.written(), "ask for nftables");
    return true;
  } catch (error) {
    // Netfilter netlink answers EINVAL where no subsystem of that number is; without netfilter netlink there is no such socket.
    return !isNetlinkError(error, "EINVAL") && !isNetlinkError(error, "EPROTONOSUPPORT") && !isNetlinkError(error, "EOPNOTSUPP");
  } finally {
    socket?.close();
  }
}

/**
 * Says that somebody changed nftables in this network namespace: iptables-nft does so too, iptables-legacy does not. Our own changes come back
 * as well, and what was lost counts as a change. Throws where the kernel has no netfilter netlink.
 */
export function watchNftables(onChange: () => void): { close(): void } {
  const raw = openRawSocket(NETLINK_NETFILTER);
  raw.on("message", (_, { port }) => {
    if (port === 0) onChange();
  });
  raw.on("error", onChange);
  raw.addMembership(NFNLGRP_NFTABLES);
  return { close: () => raw.close() };
}
