import { openRawSocket } from "./transport.ts";

/** NETLINK_NETFILTER of <linux/netlink.h> and NFNLGRP_NFTABLES of <linux/netfilter/nfnetlink.h>. */
const NETLINK_NETFILTER = 12;
const NFNLGRP_NFTABLES = 7;

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
