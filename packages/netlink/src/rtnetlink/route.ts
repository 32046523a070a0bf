import { attr, attributes, type Codec, CodecError, type Infer, inet, u8, u16be, u32 } from "../codec.ts";
import { type Family, familyNumber, formatInet } from "../inet.ts";
import type { Message } from "../message.ts";
import { encodeRoute, familyOrAll, knownFamily, needBytes, parsePrefix, prefixText, rtm } from "./header.ts";

/** RT_TABLE_* of <linux/rtnetlink.h>. */
export const routeTable = { default: 253, main: 254, local: 255 } as const;
/** RTPROT_*: who made a route. */
export const routeProtocol = { redirect: 1, kernel: 2, boot: 3, static: 4, ra: 9, dhcp: 16 } as const;
/** RTN_*, in the order of their numbers. */
export const routeTypes = [
  "unspec",
  "unicast",
  "local",
  "broadcast",
  "anycast",
  "multicast",
  "blackhole",
  "unreachable",
  "prohibit",
  "throw",
  "nat",
] as const;
export type RouteType = (typeof routeTypes)[number];

/** RTNH_F_ONLINK: the gateway is taken to be on the link although no address says so. */
const ONLINK = 0x4;
/** RTM_F_CLONED: an IPv6 cache entry, not a route of a table. */
const CLONED = 0x200;

export interface NextHop {
  gateway?: string;
  /** Index of the interface. */
  index: number;
  /** 1 to 256. */
  weight: number;
}

export interface Route {
  family: Family;
  /** `10.0.0.0/8`; the default route is `0.0.0.0/0` or `::/0`. */
  destination: string;
  type: RouteType;
  table: number;
  /** `routeProtocol`, or a number of /etc/iproute2/rt_protos. */
  protocol: number;
  scope: number;
  gateway?: string;
  /** Index of the interface it leaves by. */
  index?: number;
  /** The source address it prefers (`src`). */
  source?: string;
  metric?: number;
  mtu?: number;
  advmss?: number;
  onlink?: boolean;
  /** Instead of `gateway` and `index` when there are several. */
  nextHops?: NextHop[];
}

export interface NewRoute {
  destination: string;
  type?: RouteType;
  table?: number;
  protocol?: number;
  scope?: number;
  gateway?: string;
  index?: number;
  source?: string;
  metric?: number;
  mtu?: number;
  advmss?: number;
  onlink?: boolean;
}

/** What names a route to delete: the kernel takes the first that has all of these. */
export type RouteKey = Pick<NewRoute, "destination" | "table" | "metric" | "gateway" | "index" | "type" | "protocol">;

/** A packet to ask the way for (`ip route get`). */
export interface RouteQuery {
  destination: string;
  source?: string;
  mark?: number;
  /** Index of the interface it leaves by. */
  index?: number;
  /** Index of the interface it came in by: the way of a forwarded packet. */
  inputIndex?: number;
  protocol?: number;
  sourcePort?: number;
  destinationPort?: number;
}

/** RTAX_* of <linux/rtnetlink.h>. */
const metrics = attributes({ mtu: attr(2, u32), advmss: attr(8, u32) });

/** struct rtvia: an address family, then an address of it (RFC 5549: an IPv4 route by way of an IPv6 router). */
const via: Codec<string> = {
  write() {
    throw new CodecError("a gateway of another family can be read, not written");
  },
  read(buffer, start, end) {
    if (end - start !== 6 && end - start !== 18) throw new CodecError(`a gateway has 6 or 18 bytes, not ${end - start}`);
    return formatInet(buffer.subarray(start + 2, end));
  },
};

const hopAttributes = attributes({ gateway: attr(5, inet), via: attr(18, via) });

/** A run of struct rtnexthop: length u16, flags u8, weight-1 u8, index i32, attributes. */
const hops: Codec<NextHop[]> = {
  write() {
    throw new CodecError("several next hops can be read, not written");
  },
  read(buffer, start, end) {
    const found: NextHop[] = [];
    for (let at = start; at < end; ) {
      const length = end - at < 8 ? 0 : buffer.readUInt16LE(at);
      if (length < 8 || at + length > end) throw new CodecError(`a next hop says ${length} bytes, ${end - at} are left`);
      const wire = hopAttributes.read(buffer, at + 8, at + length);
      const gateway = wire.gateway ?? wire.via;
      found.push({ ...(gateway !== undefined && { gateway }), index: buffer.readInt32LE(at + 4), weight: buffer[at + 3]! + 1 });
      at += (length + 3) & ~3;
    }
    return found;
  },
};

/** RTA_* of <linux/rtnetlink.h>. */
export const routeAttributes = attributes({
  destination: attr(1, inet),
  source: attr(2, inet),
  inputIndex: attr(3, u32),
  index: attr(4, u32),
  gateway: attr(5, inet),
  metric: attr(6, u32),
  preferredSource: attr(7, inet),
  metrics: attr(8, metrics),
  nextHops: attr(9, hops),
  table: attr(15, u32),
  mark: attr(16, u32),
  via: attr(18, via),
  ipProtocol: attr(27, u8),
  sourcePort: attr(28, u16be),
  destinationPort: attr(29, u16be),
});

/** struct rtmsg: family, destination length, source length, tos, table, protocol, scope, type (u8 each), flags u32. */
const RTMSG = 12;

function rtmsg(fields: {
  family: number;
  destinationLength?: number;
  sourceLength?: number;
  table?: number;
  protocol?: number;
  scope?: number;
  type?: number;
  flags?: number;
}): Uint8Array {
  const struct = Buffer.alloc(RTMSG);
  struct[0] = fields.family;
  struct[1] = fields.destinationLength ?? 0;
  struct[2] = fields.sourceLength ?? 0;
  struct[4] = (fields.table ?? 0) > 255 ? 0 : (fields.table ?? 0); // a larger number goes into its attribute alone
  struct[5] = fields.protocol ?? 0;
  struct[6] = fields.scope ?? 0;
  struct[7] = fields.type ?? 0;
  struct.writeUInt32LE(fields.flags ?? 0, 8);
  return struct;
}

export const encodeListRoutes = (family?: Family): Buffer => encodeRoute(rtm.getRoute, 0, rtmsg({ family: familyOrAll(family) }));

export function encodeNewRoute(route: NewRoute, flags: number): Buffer {
  const type = route.type ?? "unicast";
  const protocol = route.protocol ?? routeProtocol.static;
  return encodeOne(rtm.newRoute, flags, route, type, protocol, route.scope ?? usualScope(type, route.gateway));
}

/** What is absent matches anything; the table is `main` unless named. */
export function encodeDeleteRoute(route: RouteKey): Buffer {
  const ANY_SCOPE = 255; // RT_SCOPE_NOWHERE
  return encodeOne(rtm.delRoute, 0, route, route.type ?? "unspec", route.protocol ?? 0, ANY_SCOPE);
}

export function encodeGetRoute(query: RouteQuery): Buffer {
  const { family, address, length } = parsePrefix(query.destination);
  const sourceLength = query.source === undefined ? 0 : length;
  return encodeRoute(
    rtm.getRoute,
    0,
    rtmsg({ family: familyNumber(family), destinationLength: length, sourceLength }),
    (writer) =>
      routeAttributes.write(writer, {
        destination: address,
        source: query.source,
        inputIndex: query.inputIndex,
        index: query.index,
        mark: query.mark,
        ipProtocol: query.protocol,
        sourcePort: query.sourcePort,
        destinationPort: query.destinationPort,
      }),
  );
}

/** Undefined for other families and for IPv6 cache entries. */
export function decodeRoute({ payload }: Message): Route | undefined {
  needBytes(payload, RTMSG, "a route");
  const family = knownFamily(payload[0]!);
  const flags = payload.readUInt32LE(8);
  if (!family) return undefined;
  const wire = routeAttributes.read(payload, RTMSG, payload.length);
  const gateway = wire.gateway ?? wire.via;
  return {
    family,
    destination: prefixText(family, wire.destination, payload[1]!),
    type: routeTypes[payload[7]!] ?? "unspec",
    table: wire.table ?? payload[4]!,
    protocol: payload[5]!,
    scope: payload[6]!,
    ...(gateway !== undefined && { gateway }),
    ...(wire.index !== undefined && { index: wire.index }),
    ...(wire.preferredSource !== undefined && { source: wire.preferredSource }),
    ...(wire.metric !== undefined && { metric: wire.metric }),
    ...(wire.metrics?.mtu !== undefined && { mtu: wire.metrics.mtu }),
    ...(wire.metrics?.advmss !== undefined && { advmss: wire.metrics.advmss }),
    ...((flags & ONLINK) !== 0 && { onlink: true }),
    ...(wire.nextHops && { nextHops: wire.nextHops }),
  };
}

/** Whether a message is an IPv6 cache entry, which a table's listing leaves out. */
export const isCacheEntry = ({ payload }: Message): boolean =>
  payload.length >= RTMSG && (payload.readUInt32LE(8) & CLONED) !== 0;

function encodeOne(message: number, flags: number, route: NewRoute, type: RouteType, protocol: number, scope: number): Buffer {
  const { family, address, length } = parsePrefix(route.destination);
  const table = route.table ?? routeTable.main;
  const struct = rtmsg({
    family: familyNumber(family),
    destinationLength: length,
    table,
    protocol,
    scope,
    type: routeTypes.indexOf(type),
    flags: route.onlink ? ONLINK : 0,
  });
  const wire: Infer<typeof routeAttributes> = {
    ...(length > 0 && { destination: address }),
    index: route.index,
    gateway: route.gateway,
    metric: route.metric,
    preferredSource: route.source,
    ...((route.mtu !== undefined || route.advmss !== undefined) && { metrics: { mtu: route.mtu, advmss: route.advmss } }),
    table,
  };
  return encodeRoute(message, flags, struct, (writer) => routeAttributes.write(writer, wire));
}

/** As iproute2 chooses it: a local route is the host's, one without a gateway is the link's. */
function usualScope(type: RouteType, gateway: string | undefined): number {
  if (type === "local" || type === "nat") return 254;
  if ((type === "unicast" && gateway === undefined) || type === "broadcast" || type === "multicast" || type === "anycast")
    return 253;
  return 0;
}
