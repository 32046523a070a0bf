import type { ActiveCheck, Encapsulation, Forwarding } from "@trigon/model";

/** Where a probe goes. */
export interface Target {
  rip: string;
  port: number;
  /** Left out: at its own address. Else at the VIP, through this real server alone. */
  through?: Through;
}

/** The way to a VIP through one real server. */
export interface Through {
  vip: string;
  forwarding: Forwarding;
  encapsulation: Encapsulation;
  /** Where the connection goes from, so that the kernel sends it that way; set for each probe. */
  from?: { address: string; port: number };
}

/** Why a probe failed, or could not be made. */
export type ProbeReason =
  | "refused"
  | "timeout"
  | "reset"
  | "unreachable"
  | "closed"
  | "tls"
  | "certificate"
  | "status"
  | "body"
  | "protocol"
  | "reply"
  | "noReply"
  | "unable";

/** `unable`: the director itself could not probe (no sockets, no ping), which says nothing about the real server. */
export type ProbeResult =
  | { outcome: "pass"; latencyMs: number }
  | { outcome: "fail" | "unable"; reason: ProbeReason; message: string };

/** Asks a real server once. Never throws, and ends within the check's timeout. */
export type Probe = (target: Target, check: ActiveCheck) => Promise<ProbeResult>;

export const fail = (reason: ProbeReason, message: string): ProbeResult => ({ outcome: "fail", reason, message });
export const unable = (message: string): ProbeResult => ({ outcome: "unable", reason: "unable", message });
