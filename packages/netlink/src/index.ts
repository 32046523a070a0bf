export * from "./codec.ts";
export * from "./errors.ts";
export * from "./fou.ts";
export * from "./inet.ts";
export * from "./ipvs.ts";
export * from "./ipvs-wire.ts";
export { hasNftables, watchNftables } from "./nftables-monitor.ts";
export * from "./rtnetlink.ts";
export {
  NETLINK_GENERIC,
  NETLINK_ROUTE,
  NetlinkSocket,
  openRawSocket,
  type RawSocket,
  type TransportOptions,
} from "./transport.ts";
export { Writer } from "./writer.ts";
