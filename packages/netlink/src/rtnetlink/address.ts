import { attr, attributes, type Codec, CodecError, cstring, inet, u32 } from "../codec.ts";
import { type Family, familyNumber, parseInet } from "../inet.ts";
import type { Message } from "../message.ts";
import { CREATE, encodeRoute, familyOrAll, knownFamily, needBytes, rtm } from "./header.ts";

/** IFA_F_* of <linux/if_addr.h>. */
export const addressFlag = {
  secondary: 0x01,
  nodad: 0x02,
  dadFailed: 0x08,
  deprecated: 0x20,
  tentative: 0x40,
  permanent: 0x80,
  noPrefixRoute: 0x200,
} as const;

/** RT_SCOPE_* of <linux/rtnetlink.h>; other numbers are the administrator's own. */
export const scope = { global: 0, site: 200, link: 253, host: 254, nowhere: 255 } as const;

export interface InterfaceAddress {
  family: Family;
  /** Index of the interface. */
  index: number;
  address: string;
  prefix: number;
  /** Of a point-to-point address, the other end. */
  peer?: string;
  scope: number;
  /** IPv4 only: the interface's name, or a name with a colon after it. */
  label?: string;
  /** Bits of `addressFlag`. */
  flags: number;
}

export interface NewAddress {
  index: number;
  address: string;
  prefix: number;
  scope?: number;
  label?: string;
  broadcast?: string;
  /** `addressFlag.nodad` and `noPrefixRoute` are the ones to ask for. */
  flags?: number;
  /** Keeps it from being chosen as a source: valid for ever, preferred for no time. */
  deprecated?: boolean;
}

const FOREVER = 0xffff_ffff;

/** struct ifa_cacheinfo: preferred and valid lifetime in seconds, then two timestamps that a request leaves 0. */
const lifetimes: Codec<{ preferred: number; valid: number }> = {
  write(writer, { preferred, valid }) {
    for (const value of [preferred, valid, 0, 0]) writer.u32(value);
  },
  read(buffer, start, end) {
    if (end - start < 8) throw new CodecError(`lifetimes have 16 bytes, not ${end - start}`);
    return { preferred: buffer.readUInt32LE(start), valid: buffer.readUInt32LE(start + 4) };
  },
};

/** IFA_* of <linux/if_addr.h>. `local` is the address itself where there is one; `address` is then the peer. */
export const addressAttributes = attributes({
  address: attr(1, inet),
  local: attr(2, inet),
  label: attr(3, cstring(16)),
  broadcast: attr(4, inet),
  lifetimes: attr(6, lifetimes),
  flags: attr(8, u32),
});

/** struct ifaddrmsg: family u8, prefix length u8, flags u8, scope u8, index u32. */
const IFADDRMSG = 8;

function ifaddrmsg(family: number, prefix = 0, scopeNumber = 0, index = 0, flags = 0): Uint8Array {
  const struct = Buffer.alloc(IFADDRMSG);
  struct[0] = family;
  struct[1] = prefix;
  struct[2] = flags; // the low byte; the attribute holds all of them
  struct[3] = scopeNumber;
  struct.writeUInt32LE(index, 4);
  return struct;
}

export const encodeListAddresses = (family?: Family): Buffer => encodeRoute(rtm.getAddress, 0, ifaddrmsg(familyOrAll(family)));

export function encodeNewAddress(wanted: NewAddress, flags = CREATE): Buffer {
  const struct = ifaddrmsg(
    familyNumber(familyIn(wanted)),
    wanted.prefix,
    wanted.scope ?? scope.global,
    wanted.index,
    wanted.flags,
  );
  return encodeRoute(rtm.newAddress, flags, struct, (writer) =>
    addressAttributes.write(writer, {
      address: wanted.address,
      local: wanted.address,
      label: wanted.label,
      broadcast: wanted.broadcast,
      ...(wanted.deprecated && { lifetimes: { preferred: 0, valid: FOREVER } }),
      ...(wanted.flags && { flags: wanted.flags }),
    }),
  );
}

export function encodeDeleteAddress(gone: Pick<InterfaceAddress, "index" | "address" | "prefix">): Buffer {
  const struct = ifaddrmsg(familyNumber(familyIn(gone)), gone.prefix, 0, gone.index);
  // The kernel looks at the prefix length of an IPv4 address only when IFA_ADDRESS is there too.
  const named = { address: gone.address, local: gone.address };
  return encodeRoute(rtm.delAddress, 0, struct, (writer) => addressAttributes.write(writer, named));
}

/** Undefined for families other than IPv4 and IPv6. */
export function decodeAddress({ payload }: Message): InterfaceAddress | undefined {
  needBytes(payload, IFADDRMSG, "an address");
  const family = knownFamily(payload[0]!);
  if (!family) return undefined;
  const wire = addressAttributes.read(payload, IFADDRMSG, payload.length);
  const address = wire.local ?? wire.address;
  if (address === undefined) throw new CodecError("an address message names no address");
  return {
    family,
    index: payload.readUInt32LE(4),
    address,
    prefix: payload[1]!,
    ...(wire.address !== undefined && wire.address !== address && { peer: wire.address }),
    scope: payload[3]!,
    ...(wire.label !== undefined && { label: wire.label }),
    flags: wire.flags ?? payload[2]!,
  };
}

function familyIn({ address }: { address: string }): Family {
  const bytes = parseInet(address);
  if (!bytes) throw new CodecError(`"${address}" is no IP address`);
  return bytes.length === 4 ? "inet" : "inet6";
}
