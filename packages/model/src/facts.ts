import { z } from "zod";

/** One address on an interface, as `ip -j addr` has it. */
export const InterfaceAddress = z.object({ address: z.string(), prefix: z.int().min(0).max(128) });

export const NetworkInterface = z.object({
  name: z.string().max(15),
  mac: z.string().nullable(),
  mtu: z.int(),
  up: z.boolean(),
  addresses: z.array(InterfaceAddress),
});
export type NetworkInterface = z.infer<typeof NetworkInterface>;

/** A route of the main table; `destination` null is the default route. */
export const FactRoute = z.object({
  family: z.union([z.literal(4), z.literal(6)]),
  destination: z.string().nullable(),
  prefix: z.int().min(0).max(128),
  gateway: z.string().nullable(),
  interface: z.string().nullable(),
  metric: z.int().default(0),
});
export type FactRoute = z.infer<typeof FactRoute>;

export const IptablesBackend = z.enum(["nft", "legacy", "none"]);
export type IptablesBackend = z.infer<typeof IptablesBackend>;

/** What only the node knows now. Addresses and devices that Trigon itself made (VIPs, tunnels) are left out: facts describe the machine as found. */
export const Facts = z.object({
  hostname: z.string().max(255),
  machineId: z.string().max(64),
  bootId: z.string().max(64),
  kernel: z.string().max(128),
  architecture: z.string().max(32),
  interfaces: z.array(NetworkInterface).max(512),
  routes: z.array(FactRoute).max(4096),
  resolvers: z.array(z.string()).max(16),
  iptables: IptablesBackend,
  /** Kernel modules that some rules would like to have, and that this kernel has not. */
  lacks: z.array(z.string()).max(32).optional(),
  /** What its agent understands that the first ones did not: `released` of a plan. */
  takes: z.array(z.string().max(64)).max(32).optional(),
});
export type Facts = z.infer<typeof Facts>;
