import { z } from "zod";

/** The closed set of what doctor looks at. */
export const DoctorCheck = z.enum([
  "module",
  "tool",
  "capability",
  "forwarding",
  "reversePath",
  "firewall",
  "mtu",
  "offload",
  "manager",
  "duplicateVip",
  "foreignService",
  "clock",
]);
export type DoctorCheck = z.infer<typeof DoctorCheck>;

/** One thing that was looked at: what is, what should be, why it matters, and the command that shows it. `fail`: traffic is lost. */
export const DoctorFinding = z.object({
  check: DoctorCheck,
  /** What was looked at: a module, an interface, a service. */
  subject: z.string().max(256),
  state: z.enum(["ok", "warn", "fail"]),
  observed: z.string().max(512),
  wanted: z.string().max(512),
  why: z.string().max(512),
  command: z.string().max(512),
});
export type DoctorFinding = z.infer<typeof DoctorFinding>;

/** `at`: since when the machine has looked like this. */
export const DoctorReport = z.object({ at: z.iso.datetime(), findings: z.array(DoctorFinding).max(1000) });
export type DoctorReport = z.infer<typeof DoctorReport>;

/** What doctor judges about a machine, as read. `null` and left out: it could not be told. */
export interface Machine {
  /** Whether a module is loaded, built in, or at least there to be loaded. */
  modules: Record<string, "loaded" | "available" | "missing">;
  tools: Record<string, boolean>;
  /** Effective capabilities by name, without the CAP_. */
  capabilities: readonly string[];
  /** By path under /proc/sys; a file that is not there is left out. */
  sysctls: Record<string, string>;
  /** The text of `iptables-save` (IPv4). */
  firewall: string;
  /** nftables tables that `iptables-save` does not show, as `inet firewalld`. */
  nftables: readonly string[];
  /** Offloads that are on, by interface, in ethtool's words. */
  offloads: Record<string, readonly string[]>;
  /** Names of running programs, each once. */
  programs: readonly string[];
}
