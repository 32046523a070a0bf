import { z } from "zod";
import { IpAddress } from "./address.ts";
import { type HealthVerdict, OnFailure } from "./effective-weight.ts";
import { Forwarding, type Protocol } from "./vocabulary.ts";

/** What every kind of check has. Times in milliseconds. */
const timing = {
  /**
   * Where the check goes. `rip`: the real server's own address; it proves that the server answers there, not that it answers on the VIP: a
   * daemon bound to the VIP alone fails it. `vip`: the VIP, through this one real server, on the way that clients' packets take; only TCP
   * over IPv4, by `tcp` and `http`, in DR and Tunnel.
   */
  target: z.enum(["rip", "vip"]).default("rip"),
  /** Null: the real server's port. */
  port: z.int().min(1).max(65535).nullable().default(null),
  intervalMs: z.int().min(100).max(600_000).default(2_000),
  timeoutMs: z.int().min(20).max(60_000).default(1_000),
  /** Interval while the verdict is about to change. */
  fastIntervalMs: z.int().min(100).max(600_000).default(1_000),
  /** So many passes in a row bring a server back, so many failures take it out. */
  rise: z.int().min(1).max(100).default(2),
  fall: z.int().min(1).max(100).default(3),
  /** Intervals are shortened by up to this share, so that probes do not march in step. */
  jitter: z.number().min(0).max(0.5).default(0.1),
};

const tls = {
  /** The name asked for in the handshake; null: none. */
  sni: z.string().min(1).max(253).nullable().default(null),
  /** Whether the certificate must be valid for `sni` (or the RIP) and come from `ca`, or the director's own trusted authorities. */
  verify: z.boolean().default(false),
  /** PEM of the authority to trust. */
  ca: z.string().max(16_384).nullable().default(null),
};

const headerText = z.string().regex(/^[\x20-\x7e]*$/, "printable ASCII only");

const http = {
  method: z.enum(["GET", "HEAD", "OPTIONS"]).default("GET"),
  path: headerText
    .max(1024)
    .regex(/^\/\S*$/, "begins with / and has no spaces")
    .default("/"),
  /** The Host header; null: the RIP. */
  host: headerText.min(1).max(253).nullable().default(null),
  headers: z
    .array(
      z.strictObject({
        name: z.string().regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/, "not a header name"),
        value: headerText.max(1024),
      }),
    )
    .max(20)
    .default([]),
  /** Statuses that pass: `200-399`, `200,204,301-302`. */
  statuses: z
    .string()
    .max(200)
    .regex(/^[1-5]\d\d(-[1-5]\d\d)?(, ?[1-5]\d\d(-[1-5]\d\d)?)*$/, "statuses such as 200-299,301")
    .default("200-399"),
  /** Text that the first 64 KiB of the body must contain; null: any body. */
  body: z.string().min(1).max(1024).nullable().default(null),
};

const udp = {
  /** How `payload` and `reply` are written. */
  encoding: z.enum(["text", "hex"]).default("text"),
  payload: z.string().min(1).max(2048),
  /** What the reply must contain; null: any reply. Silence always fails: a dead host says nothing either. */
  reply: z.string().min(1).max(2048).nullable().default(null),
};

/** How a director finds out whether a real server can serve. `icmp` says that the machine answers, not that its service does. */
export const HealthCheck = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("none") }),
  z.strictObject({ kind: z.literal("tcp"), ...timing }),
  z.strictObject({ kind: z.literal("tls"), ...timing, ...tls }),
  z.strictObject({ kind: z.literal("http"), ...timing, ...http }),
  z.strictObject({ kind: z.literal("https"), ...timing, ...http, ...tls }),
  z.strictObject({ kind: z.literal("udp"), ...timing, ...udp }),
  z.strictObject({ kind: z.literal("icmp"), ...timing }),
]);
export type HealthCheck = z.infer<typeof HealthCheck>;
export type HealthCheckKind = HealthCheck["kind"];
/** A check that sends something. */
export type ActiveCheck = Exclude<HealthCheck, { kind: "none" }>;

/** Serves while too few real servers do: a destination that nobody checks or admits. In DR and Tunnel it must hold the VIP by itself. */
export const SorryServer = z.strictObject({
  rip: IpAddress,
  /** Null: the service's port. */
  port: z.int().min(1).max(65535).nullable().default(null),
  /** Null: the service's. */
  forwarding: Forwarding.nullable().default(null),
});
export type SorryServer = z.infer<typeof SorryServer>;

/** What a service does about its real servers' health. */
export const HealthSpec = z.strictObject({
  /** Null: the one that suits the protocol, see `defaultCheck`. */
  check: HealthCheck.nullable().default(null),
  onFailure: OnFailure.default("inhibit"),
  /** Fewer than `down` serving real servers is too few, until there are `up` of them again. */
  quorum: z.strictObject({ up: z.int().min(1).max(1000), down: z.int().min(1).max(1000) }).default({ up: 1, down: 1 }),
  /** Takes the place of the real servers while they are too few, instead of failing open. */
  sorryServer: SorryServer.nullable().default(null),
  /** While too few pass, all admitted and undrained ones serve: a check that fails everywhere more likely is wrong itself. */
  failOpen: z.boolean().default(true),
  /** The most real servers that checks may take out at a time; null: any number. */
  maxOutAtOnce: z.int().min(1).max(1000).nullable().default(null),
});
export type HealthSpec = z.infer<typeof HealthSpec>;

/** The check of a service that names none: its port where connecting tells something, else whether the machine answers at all. */
export function defaultCheck(protocol: Protocol): HealthCheck {
  return HealthCheck.parse({ kind: protocol === "tcp" ? "tcp" : "icmp" });
}

/** Health as a director must know it: everything is spelled out. */
export const PlannedHealth = HealthSpec.extend({
  check: HealthCheck,
  sorryServer: SorryServer.extend({ port: z.int().min(1).max(65535), forwarding: Forwarding }).nullable(),
});
export type PlannedHealth = z.infer<typeof PlannedHealth>;

/** `failOpen`: too few pass, so checks are not heeded. `sorry`: too few pass, so the sorry server serves instead. */
export const HealthMode = z.enum(["normal", "failOpen", "sorry"]);
export type HealthMode = z.infer<typeof HealthMode>;

/** What checks mean for one service now: the mode, and the real servers (ids) that they take out. */
export interface ServiceHealth {
  mode: HealthMode;
  out: ReadonlySet<string>;
}

/** The verdict that counts for a real server's weight. */
export function verdictIn(health: ServiceHealth | undefined, realServerId: string): HealthVerdict {
  if (health?.mode === "sorry") return "down";
  if (health?.mode === "normal" && health.out.has(realServerId)) return "down";
  return "up";
}
