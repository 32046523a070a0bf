import {
  attr,
  attributes,
  bytes,
  type Codec,
  cstring,
  type Infer,
  maskedFlags,
  nested,
  paddedInet,
  u8,
  u16,
  u16be,
  u32,
  u32be,
  u64,
} from "./codec.ts";

/** IPVS_GENL_NAME and IPVS_GENL_VERSION of <linux/ip_vs.h>. */
export const IPVS_FAMILY = "IPVS";
export const IPVS_VERSION = 1;

/** IPVS_CMD_* of <linux/ip_vs.h>. Replies carry the number of the matching NEW or SET command. `flush` empties the whole namespace, foreign services too. */
export const ipvsCommand = {
  newService: 1,
  setService: 2,
  delService: 3,
  getService: 4,
  newDestination: 5,
  setDestination: 6,
  delDestination: 7,
  getDestination: 8,
  newDaemon: 9,
  delDaemon: 10,
  getDaemon: 11,
  setConfig: 12,
  getConfig: 13,
  setInfo: 14,
  getInfo: 15,
  zero: 16,
  flush: 17,
} as const;

/** IP_VS_SVC_F_* of <linux/ip_vs.h>. SCHED1 to 3 belong to the scheduler: for `sh` and `mh` they are fallback and port. */
export const serviceFlag = { persistent: 1, hashed: 2, onePacket: 4, sched1: 8, sched2: 0x10, sched3: 0x20 } as const;

/** IPVS_STATS_ATTR_*, a u32 each but for the bytes. */
const stats32 = attributes({
  connections: attr(1, u32),
  inPackets: attr(2, u32),
  outPackets: attr(3, u32),
  inBytes: attr(4, u64),
  outBytes: attr(5, u64),
  connectionsPerSecond: attr(6, u32),
  inPacketsPerSecond: attr(7, u32),
  outPacketsPerSecond: attr(8, u32),
  inBytesPerSecond: attr(9, u32),
  outBytesPerSecond: attr(10, u32),
});

/** The same attributes in IPVS_SVC_ATTR_STATS64 and IPVS_DEST_ATTR_STATS64: all u64. */
const stats64 = attributes({
  connections: attr(1, u64),
  inPackets: attr(2, u64),
  outPackets: attr(3, u64),
  inBytes: attr(4, u64),
  outBytes: attr(5, u64),
  connectionsPerSecond: attr(6, u64),
  inPacketsPerSecond: attr(7, u64),
  outPacketsPerSecond: attr(8, u64),
  inBytesPerSecond: attr(9, u64),
  outBytesPerSecond: attr(10, u64),
});
export type WireStats32 = Infer<typeof stats32>;
export type WireStats64 = Infer<typeof stats64>;

/** A nested table that is only decoded when it is looked at: every reply has STATS, and STATS64 makes it needless. */
const later = <T>(codec: Codec<T>): Codec<() => T> => ({
  write: (writer, value) => codec.write(writer, value()),
  read: (buffer, start, end) => () => codec.read(buffer, start, end),
});

/** IPVS_SVC_ATTR_* of <linux/ip_vs.h> that requests and replies share. A service is named by `fwmark`, or by protocol, address and port. */
const serviceSettings = {
  family: attr(1, u16),
  protocol: attr(2, u16),
  port: attr(4, u16be),
  fwmark: attr(5, u32),
  scheduler: attr(6, cstring(16)),
  flags: attr(7, maskedFlags),
  timeout: attr(8, u32), // seconds a client sticks to its destination; 0 when not persistent
  netmask: attr(9, u32), // IPv4: the mask in network order; IPv6: the prefix length in host order
  persistenceEngine: attr(11, cstring(16)),
};
export const serviceRequest = attributes({ ...serviceSettings, address: attr(3, paddedInet) });
export const serviceReply = attributes({
  ...serviceSettings,
  address: attr(3, bytes), // 16 bytes, of which IPv4 uses the first four
  stats: attr(10, later(stats32)),
  stats64: attr(12, later(stats64)),
});
export type ServiceRequest = Infer<typeof serviceRequest>;
export type ServiceReply = Infer<typeof serviceReply>;

/** IPVS_DEST_ATTR_* of <linux/ip_vs.h> that requests and replies share. */
const destinationSettings = {
  port: attr(2, u16be),
  forward: attr(3, u32),
  weight: attr(4, u32),
  upperThreshold: attr(5, u32),
  lowerThreshold: attr(6, u32),
  family: attr(11, u16),
  tunnelType: attr(13, u8),
  tunnelPort: attr(14, u16be),
  tunnelFlags: attr(15, u16),
};
export const destinationRequest = attributes({ address: attr(1, paddedInet), ...destinationSettings });
export const destinationReply = attributes({
  ...destinationSettings,
  address: attr(1, bytes),
  activeConnections: attr(7, u32),
  inactiveConnections: attr(8, u32),
  persistentConnections: attr(9, u32),
  stats: attr(10, later(stats32)),
  stats64: attr(12, later(stats64)),
});
export type DestinationRequest = Infer<typeof destinationRequest>;
export type DestinationReply = Infer<typeof destinationReply>;

/** IPVS_DAEMON_ATTR_* of <linux/ip_vs.h>. */
export const daemonAttributes = attributes({
  state: attr(1, u32),
  interface: attr(2, cstring(16)),
  syncId: attr(3, u32),
  maxLength: attr(4, u16),
  group: attr(5, u32be),
  group6: attr(6, bytes),
  port: attr(7, u16), // in host order, unlike every other port of the family
  ttl: attr(8, u8),
});
export type WireDaemon = Infer<typeof daemonAttributes>;

/** IPVS_CMD_ATTR_* of <linux/ip_vs.h>: what a message of the family holds. */
const commandSettings = {
  daemon: attr(3, nested(daemonAttributes)),
  timeoutTcp: attr(4, u32),
  timeoutTcpFin: attr(5, u32),
  timeoutUdp: attr(6, u32),
};
export const commandRequest = attributes({
  service: attr(1, nested(serviceRequest)),
  destination: attr(2, nested(destinationRequest)),
  ...commandSettings,
});
export const commandReply = attributes({
  service: attr(1, nested(serviceReply)),
  destination: attr(2, nested(destinationReply)),
  ...commandSettings,
});
export type CommandRequest = Infer<typeof commandRequest>;
export type CommandReply = Infer<typeof commandReply>;

/** A change of a destination whose service is already encoded: a run of them names the same service over and over. */
export const destinationCommand = attributes({
  service: attr(1, nested(bytes)),
  destination: attr(2, nested(destinationRequest)),
});

/** IPVS_INFO_ATTR_* of <linux/ip_vs.h>, the top level of a reply to GET_INFO. */
export const infoAttributes = attributes({ version: attr(1, u32), connectionTableSize: attr(2, u32) });
