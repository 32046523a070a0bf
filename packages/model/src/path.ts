import { z } from "zod";

/**
 * How a director proves a path: its probe leaves from these source ports, a rule of ours marks it, and the firewall-mark service of that mark
 * hands it to the one real server under test. The ports lie above what systems choose by themselves (ip_local_port_range), so that nobody
 * else's connection is taken for a probe.
 */
export const pathProbe = { mark: 0x5452, firstPort: 64512, lastPort: 65023 } as const;

/** The same for health checks that go to the VIP: with a mark and ports of their own, since many are under way at a time. */
export const vipCheck = { mark: 0x5456, firstPort: 65024, lastPort: 65535 } as const;

/**
 * How the last probe of a path ended, as the director saw it. `large`: small packets pass and full-sized ones do not. `silent`: a UDP datagram
 * that asks nothing (the service's check has no payload) met no error; that no reply came says nothing.
 */
export const PathOutcome = z.enum(["ok", "refused", "timeout", "large", "silent", "unable"]);
export type PathOutcome = z.infer<typeof PathOutcome>;

/** What a director says of one path: a VIP through one real server. Times are told as ages, since clocks differ. */
export const PathReport = z.object({
  serviceId: z.string(),
  realServerId: z.string(),
  outcome: PathOutcome,
  /** Of the last probe that passed. */
  latencyMs: z.number().nullable(),
  /** A request of full-sized packets was answered; null: the service's check speaks nothing that could carry one. */
  large: z.boolean().nullable(),
  /** Of the last failed probe: packets that left this machine, and replies that reached it. */
  sent: z.int(),
  returned: z.int(),
  /** Effective rp_filter where replies come in. */
  rpFilter: z.int().nullable(),
  /** How long ago the last probe ended, and how long ago the outcome came to be. */
  agoMs: z.number(),
  sinceMs: z.number(),
  /** How long ago the probe before the last ended; left out by agents that do not know it. */
  previousAgoMs: z.number().nullable().optional(),
  /** Why it could not be probed. */
  message: z.string().nullable(),
});
export type PathReport = z.infer<typeof PathReport>;

/** Who listens for a service on a real server: on the VIP (or on every address), on other addresses only, or nobody. */
export const Listener = z.enum(["vip", "other", "none"]);
export type Listener = z.infer<typeof Listener>;

/** What a real server's agent saw of the probes for one service; ages since the last one, null: none in this run. */
export const ArrivalReport = z.object({
  serviceId: z.string(),
  /** Came in, and (through a tunnel) out of its wrapping. */
  arrivedAgoMs: z.number().nullable(),
  /** Passed routing: the VIP is here and rp_filter let it through. */
  deliveredAgoMs: z.number().nullable(),
  /** UDP: passed the machine's own firewall; left out where nothing counts that. */
  acceptedAgoMs: z.number().nullable().optional(),
  /** The VIP answered, with whatever. */
  answeredAgoMs: z.number().nullable(),
  vipBound: z.boolean(),
  /** Null: no tunnel takes part. */
  tunnelUp: z.boolean().nullable(),
  /** Whether the tunnel device has an IPv4 address: without one a loose rp_filter drops too. */
  tunnelAddressed: z.boolean().nullable(),
  /** Effective rp_filter where probes come in; null: not known. */
  rpFilter: z.int().nullable(),
  listener: Listener,
});
export type ArrivalReport = z.infer<typeof ArrivalReport>;

/** The steps of a path, in their order. `large`: full-sized packets. */
export const PathStep = z.enum(["sent", "arrived", "answered", "returned", "large"]);
export type PathStep = z.infer<typeof PathStep>;

/** Why a path fails, or is not known to work (`…unasked`), as far as both ends can tell. */
export const PathCause = z.enum([
  "director.notSent",
  "tunnel.down",
  "encapsulation.lost",
  "network.lost",
  "vip.missing",
  "realServer.rpFilter",
  "realServer.dropped",
  "service.notOnVip",
  "service.notListening",
  "realServer.firewall",
  "realServer.rejects",
  "service.silent",
  "reply.lost",
  "reply.unasked",
  "director.rpFilter",
  "director.firewall",
  "mtu.hole",
  "realServer.noWord",
  "realServer.unasked",
]);
export type PathCause = z.infer<typeof PathCause>;

/** The verdict on one path, joined from what both ends say. It informs and never takes traffic away. */
export const PathView = z.object({
  realServerId: z.string(),
  directorNodeId: z.string().nullable(),
  /**
   * `arrived`: UDP packets reach the VIP on the real server, and whether it answers cannot be known without a payload. `checking`: one end has
   * not said enough yet. `none`: nothing can be told of this path.
   */
  state: z.enum(["proved", "arrived", "failed", "checking", "none"]),
  /** The first step that fails; null where none does or it is not known. */
  step: PathStep.nullable(),
  cause: PathCause.nullable(),
  /** One sentence each, in English. */
  message: z.string().nullable(),
  fix: z.string().nullable(),
  latencyMs: z.number().nullable(),
  large: z.boolean().nullable(),
  at: z.iso.datetime().nullable(),
  since: z.iso.datetime().nullable(),
});
export type PathView = z.infer<typeof PathView>;
