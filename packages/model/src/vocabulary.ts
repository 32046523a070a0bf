import { z } from "zod";
import { IpAddress } from "./address.ts";
import { forwardings } from "./words.ts";

/** How a director hands a packet to a real server. `fullnat` is the kernel's masquerading plus source NAT. */
export const Forwarding = z.enum(forwardings);
export type Forwarding = z.infer<typeof Forwarding>;

/** What wraps a packet in Tunnel forwarding: IP in IP (RFC 2003), GRE (RFC 2784) or GUE, which is IP in IP in UDP (draft-ietf-intarea-gue). */
export const Encapsulation = z.enum(["ipip", "gre", "gue"]);
export type Encapsulation = z.infer<typeof Encapsulation>;

/** The UDP port of GUE (IANA). */
export const guePort = 6080;

export const Protocol = z.enum(["tcp", "udp", "sctp"]);
export type Protocol = z.infer<typeof Protocol>;

/** IP protocol numbers (IANA) of the protocols a virtual service can balance. */
export const protocolNumber = { tcp: 6, udp: 17, sctp: 132 } as const satisfies Record<Protocol, number>;

/** The kernel's schedulers, by their names in <net/ip_vs.h>; which of them a node has is a fact of that node. */
export const Scheduler = z.enum(["rr", "wrr", "lc", "wlc", "sh", "dh", "mh", "sed", "nq", "lblc", "lblcr", "fo", "ovf", "twos"]);
export type Scheduler = z.infer<typeof Scheduler>;

export const NodeRole = z.enum(["director", "realServer"]);
export type NodeRole = z.infer<typeof NodeRole>;

/**
 * Where a full NAT service's packets come from, as the real server sees them: the VIP, the director's own address (DIP), or a floating address of
 * the director group, which moves with its VIPs.
 */
export const SnatSource = z.union([z.enum(["vip", "dip"]), IpAddress]);
export type SnatSource = z.infer<typeof SnatSource>;

/** Compile-time proof that a switch covers every case; at run time it says which one was missed. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
