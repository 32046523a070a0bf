import { attr, attributes, bytes, type Codec, CodecError, cstring, type Infer, inet, u8, u16, u16be, u32 } from "../codec.ts";
import type { Message } from "../message.ts";
import { CREATE, encodeRoute, needBytes, rtm } from "./header.ts";

/** IFF_* of <linux/if.h> that matter here. */
export const linkFlag = { up: 0x1, loopback: 0x8, running: 0x40, noArp: 0x80, lowerUp: 0x1_0000 } as const;

/** IF_OPER_* of <linux/if.h>, in the order of their numbers (RFC 2863). */
const operStates = ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"] as const;
export type OperState = (typeof operStates)[number];

/** TUNNEL_ENCAP_* of <linux/if_tunnel.h>, in the order of their numbers. */
const encapTypes = ["none", "fou", "gue"] as const;
/** TUNNEL_ENCAP_FLAG_*. */
export const encapFlag = { checksum: 1, checksum6: 2, remoteChecksum: 4 } as const;

export interface TunnelConfig {
  /** Absent: any. */
  local?: string;
  remote?: string;
  /** 0: taken from the inner packet. */
  ttl: number;
  /** Sets DF on the outer packet and obeys ICMP about it. Must be on unless `ttl` is 0. */
  pmtuDiscovery: boolean;
  /** UDP around the tunnel; ports 0: chosen by the kernel. */
  encap?: { type: "fou" | "gue"; sourcePort: number; destinationPort: number; flags: number };
}

export interface LinkCounters {
  rxPackets: bigint;
  txPackets: bigint;
  rxBytes: bigint;
  txBytes: bigint;
  rxErrors: bigint;
  txErrors: bigint;
  rxDropped: bigint;
  txDropped: bigint;
}

export interface Link {
  index: number;
  name: string;
  /** `ipip`, `dummy`, `veth`, `bridge`, …; absent for hardware and `lo`. */
  kind?: string;
  /** Bits of `linkFlag`. */
  flags: number;
  /** Set up by the administrator (IFF_UP); `operState` tells whether it works. */
  up: boolean;
  operState: OperState;
  mtu: number;
  /** Hardware address as `02:00:00:00:00:01`; absent for tunnels and other devices without one. */
  mac?: string;
  /** Index of the bridge or bond it belongs to. */
  master?: number;
  /** For the kinds of `tunnelKinds`. */
  tunnel?: TunnelConfig;
  counters?: LinkCounters;
}

/** Kinds whose IFLA_INFO_DATA is understood. The first three carry IPv4 outside, the last two IPv6. */
export const tunnelKinds = ["ipip", "sit", "gre", "ip6tnl", "ip6gre"] as const;
export type TunnelKind = (typeof tunnelKinds)[number];

export interface NewLink {
  name: string;
  kind: TunnelKind | "dummy";
  mtu?: number;
  tunnel?: Partial<TunnelConfig>;
}

const bool: Codec<boolean> = {
  write: (writer, value) => writer.u8(value ? 1 : 0),
  read: (buffer, start, end) => u8.read(buffer, start, end) !== 0,
};

/** struct rtnl_link_stats64 of <linux/if_link.h> begins with these eight u64; newer fields follow. */
const counters: Codec<LinkCounters> = {
  write() {
    throw new CodecError("counters are the kernel's to write");
  },
  read(buffer, start, end) {
    if (end - start < 64) throw new CodecError(`link counters have 64 bytes or more, not ${end - start}`);
    const at = (index: number) => buffer.readBigUInt64LE(start + index * 8);
    return {
      rxPackets: at(0),
      txPackets: at(1),
      rxBytes: at(2),
      txBytes: at(3),
      rxErrors: at(4),
      txErrors: at(5),
      rxDropped: at(6),
      txDropped: at(7),
    };
  },
};

/** IFLA_INFO_* of <linux/if_link.h>; what `data` holds depends on `kind`. */
const linkInfo = attributes({ kind: attr(1, cstring()), data: attr(2, bytes) });

/** IFLA_* of <linux/if_link.h>. */
export const linkAttributes = attributes({
  mac: attr(1, bytes),
  name: attr(3, cstring(16)),
  mtu: attr(4, u32),
  master: attr(10, u32),
  operState: attr(16, u8),
  info: attr(18, linkInfo),
  counters: attr(23, counters),
});

/** IFLA_IPTUN_* of <linux/if_tunnel.h>: ipip, sit and ip6tnl. */
const ipTunnel = attributes({
  local: attr(2, inet),
  remote: attr(3, inet),
  ttl: attr(4, u8),
  pmtuDiscovery: attr(10, bool),
  encapType: attr(15, u16),
  encapFlags: attr(16, u16),
  encapSourcePort: attr(17, u16be),
  encapDestinationPort: attr(18, u16be),
});

/** IFLA_GRE_* of <linux/if_tunnel.h>: gre and ip6gre. */
const greTunnel = attributes({
  local: attr(6, inet),
  remote: attr(7, inet),
  ttl: attr(8, u8),
  pmtuDiscovery: attr(10, bool),
  encapType: attr(14, u16),
  encapFlags: attr(15, u16),
  encapSourcePort: attr(16, u16be),
  encapDestinationPort: attr(17, u16be),
});

const tableOf = (kind: TunnelKind) => (kind === "gre" || kind === "ip6gre" ? greTunnel : ipTunnel);
const isTunnelKind = (kind: string | undefined): kind is TunnelKind => tunnelKinds.some((known) => known === kind);

/** struct ifinfomsg: family u8, pad u8, type u16, index i32, flags u32, change u32. */
const IFINFOMSG = 16;

function ifinfomsg(index = 0, flags = 0, change = 0): Uint8Array {
  const struct = Buffer.alloc(IFINFOMSG);
  struct.writeInt32LE(index, 4);
  struct.writeUInt32LE(flags, 8);
  struct.writeUInt32LE(change, 12);
  return struct;
}

export const encodeListLinks = (): Buffer => encodeRoute(rtm.getLink, 0, ifinfomsg());

/** By name or by index. */
export const encodeGetLink = (which: string | number): Buffer => encodeNamed(rtm.getLink, which);

export const encodeDeleteLink = (which: string | number): Buffer => encodeNamed(rtm.delLink, which);

export function encodeSetLink(which: string | number, { up, mtu }: { up?: boolean; mtu?: number }): Buffer {
  const change = up === undefined ? 0 : linkFlag.up;
  return encodeNamed(rtm.setLink, which, up ? linkFlag.up : 0, change, mtu);
}

export function encodeNewLink({ name, kind, mtu, tunnel }: NewLink): Buffer {
  const info: Infer<typeof linkInfo> = { kind };
  if (kind !== "dummy") info.data = tableOf(kind).encode(tunnelToWire(tunnel ?? {}));
  return encodeRoute(rtm.newLink, CREATE, ifinfomsg(), (writer) => linkAttributes.write(writer, { name, mtu, info }));
}

export function decodeLink({ payload }: Message): Link {
  needBytes(payload, IFINFOMSG, "a link");
  const wire = linkAttributes.read(payload, IFINFOMSG, payload.length);
  const flags = payload.readUInt32LE(8);
  const kind = wire.info?.kind;
  return {
    index: payload.readInt32LE(4),
    name: wire.name ?? "",
    ...(kind !== undefined && { kind }),
    flags,
    up: (flags & linkFlag.up) !== 0,
    operState: operStates[wire.operState ?? 0] ?? "unknown",
    mtu: wire.mtu ?? 0,
    ...(wire.mac?.length === 6 && { mac: Array.from(wire.mac, (byte) => byte.toString(16).padStart(2, "0")).join(":") }),
    ...(wire.master !== undefined && { master: wire.master }),
    ...(isTunnelKind(kind) && wire.info?.data && { tunnel: tunnelFromWire(tableOf(kind).decode(Buffer.from(wire.info.data))) }),
    ...(wire.counters && { counters: wire.counters }),
  };
}

function encodeNamed(type: number, which: string | number, flags = 0, change = 0, mtu?: number): Buffer {
  const index = typeof which === "number" ? which : 0;
  const name = typeof which === "string" ? which : undefined;
  return encodeRoute(type, 0, ifinfomsg(index, flags, change), (writer) => linkAttributes.write(writer, { name, mtu }));
}

function tunnelToWire({ local, remote, ttl = 0, pmtuDiscovery = true, encap }: Partial<TunnelConfig>): Infer<typeof ipTunnel> {
  return {
    local,
    remote,
    ttl,
    pmtuDiscovery,
    ...(encap && {
      encapType: encapTypes.indexOf(encap.type),
      encapFlags: encap.flags,
      encapSourcePort: encap.sourcePort,
      encapDestinationPort: encap.destinationPort,
    }),
  };
}

function tunnelFromWire(wire: Infer<typeof ipTunnel>): TunnelConfig {
  const type = encapTypes[wire.encapType ?? 0];
  return {
    ...(named(wire.local) && { local: wire.local }),
    ...(named(wire.remote) && { remote: wire.remote }),
    ttl: wire.ttl ?? 0,
    pmtuDiscovery: wire.pmtuDiscovery ?? true,
    ...(type !== undefined &&
      type !== "none" && {
        encap: {
          type,
          sourcePort: wire.encapSourcePort ?? 0,
          destinationPort: wire.encapDestinationPort ?? 0,
          flags: wire.encapFlags ?? 0,
        },
      }),
  };
}

const named = (address: string | undefined): boolean => address !== undefined && address !== "0.0.0.0" && address !== "::";
