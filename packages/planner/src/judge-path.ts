import {
  type ArrivalReport,
  endpoint,
  type Forwarding,
  familyOf,
  hostPrefix,
  type PathCause,
  type PathReport,
  type PathStep,
  type Protocol,
  unreachable,
} from "@trigon/model";

/** When something was said, on the listener's clock. */
export interface Said<T> {
  report: T;
  at: number;
}

export interface PathInput {
  forwarding: Forwarding;
  protocol: Protocol;
  director: Said<PathReport>;
  /** `unmanaged`: nobody's agent runs there, or none that counts (NAT). `silent`: its agent says nothing now. */
  realServer: Said<ArrivalReport> | "unmanaged" | "silent";
}

export interface PathVerdict {
  state: "proved" | "arrived" | "failed" | "checking" | "none";
  step: PathStep | null;
  cause: PathCause | null;
}

/** A real server's counts are read now and then: so much later its word covers the probe that failed. */
const settledMs = 5_000;
/** A count seen to grow so much before the failure began is of a probe before it. */
const slackMs = 500;
/** How long a probe that nothing answers takes, at most. */
const silentMs = 2_500;

const failed = (step: PathStep | null, cause: PathCause): PathVerdict => ({ state: "failed", step, cause });

/** Joins what the two ends of a path say to the first step that fails. Pure; advisory only. */
export function judgePath(input: PathInput): PathVerdict {
  const { report } = input.director;
  switch (report.outcome) {
    case "ok":
      return { state: "proved", step: null, cause: null };
    case "unable":
      return { state: "checking", step: null, cause: null };
    case "large":
      return failed("large", "mtu.hole");
    case "refused":
    case "timeout":
    case "silent":
      return report.sent === 0 ? failed("sent", "director.notSent") : onTheWay(input, report.outcome);
    default:
      return unreachable(report.outcome);
  }
}

const checking: PathVerdict = { state: "checking", step: null, cause: null };

/** The packets left the director, and no answer came but a refusal. */
function onTheWay(input: PathInput, outcome: "refused" | "timeout" | "silent"): PathVerdict {
  const { director, realServer } = input;
  const { returned, rpFilter } = director.report;
  // Whatever answered did so as the VIP: the way there and back is open but for the last step.
  if (outcome !== "refused" && returned > 0) {
    return failed("returned", rpFilter === 1 ? "director.rpFilter" : "director.firewall");
  }
  if (realServer === "unmanaged" || realServer === "silent") {
    if (outcome === "refused" && returned > 0) return failed("answered", "service.notListening");
    if (outcome === "silent") return { state: "none", step: null, cause: "realServer.unasked" };
    return failed(null, "realServer.noWord");
  }
  const from = outcome === "silent" ? latestCovered(director, realServer.at) : failingSince(director, realServer.at);
  if (from === null) return checking;
  const end = realServer.report;
  const since = (agoMs: number | null) => agoMs !== null && realServer.at - agoMs > from - slackMs;
  if (!since(end.arrivedAgoMs)) return notArrived(input.forwarding, end);
  if (!since(end.deliveredAgoMs)) return notDelivered(input.forwarding, end);
  // UDP only: the firewall's word is asked for, since a datagram that it lets in need not be answered.
  const isAccepted = end.acceptedAgoMs === undefined || since(end.acceptedAgoMs);
  if (!isAccepted) return failed("answered", outcome === "refused" ? "realServer.rejects" : "realServer.firewall");
  if (outcome === "refused") return refusedByVip(end);
  if (since(end.answeredAgoMs)) return failed("returned", "reply.lost");
  if (input.protocol !== "udp") return failed("answered", "realServer.firewall");
  // Where nobody listens the kernel says so, but not more than so often, and a firewall may stop its word.
  if (end.listener !== "vip") return refusedByVip(end);
  if (outcome === "silent") return { state: "arrived", step: null, cause: "reply.unasked" };
  return failed("answered", "service.silent");
}

/** When the failure began, if the real server's word covers it. */
function failingSince({ report, at }: Said<PathReport>, wordAt: number): number | null {
  const began = at - report.sinceMs;
  return wordAt < began + settledMs ? null : began;
}

/** When the latest probe began that the real server's word covers: one that is silent is so all the time, and tells only of its own moment. */
function latestCovered({ report, at }: Said<PathReport>, wordAt: number): number | null {
  for (const agoMs of [report.agoMs, report.previousAgoMs ?? null])
    if (agoMs !== null && wordAt >= at - agoMs + settledMs) return at - agoMs - silentMs;
  return null;
}

function notArrived(forwarding: Forwarding, { tunnelUp }: ArrivalReport): PathVerdict {
  if (forwarding !== "tun") return failed("arrived", "network.lost");
  return failed("arrived", tunnelUp === false ? "tunnel.down" : "encapsulation.lost");
}

/** It came in and routing did not take it: not for an address of this machine, or from where it may not come. */
function notDelivered(forwarding: Forwarding, { vipBound, rpFilter, tunnelAddressed }: ArrivalReport): PathVerdict {
  if (!vipBound) return failed("answered", "vip.missing");
  const filters = rpFilter === 1 || (rpFilter === 2 && forwarding === "tun" && tunnelAddressed === false);
  return failed("answered", filters ? "realServer.rpFilter" : "realServer.dropped");
}

function refusedByVip({ listener }: ArrivalReport): PathVerdict {
  if (listener === "other") return failed("answered", "service.notOnVip");
  return failed("answered", listener === "none" ? "service.notListening" : "realServer.rejects");
}

/** What fills the sentences of a verdict. */
export interface PathNames {
  vip: string;
  protocol: Protocol;
  port: number;
  rip: string;
  director: string;
}

/** What is wrong and what helps, in English; the console has its own words by cause. */
export function pathWords(cause: PathCause, { vip, protocol, port, rip, director }: PathNames): { message: string; fix: string } {
  const service = endpoint(vip, port);
  const all = familyOf(vip) === 4 ? "0.0.0.0" : "::";
  const words: Record<PathCause, [message: string, fix: string]> = {
    "director.notSent": [
      `Packets for ${rip} do not leave ${director}.`,
      `Look for a rule in the OUTPUT chain of ${director} that drops them, and at its route to ${rip}.`,
    ],
    "tunnel.down": [
      `The tunnel device on ${rip} is down, so nothing comes out of its wrapping there.`,
      "Bring the device up (ip link set … up); the agent does so by itself unless it was told to change nothing.",
    ],
    "encapsulation.lost": [
      `Wrapped packets leave ${director} and do not come out of the tunnel on ${rip}.`,
      `Let IP protocol 4 (IPIP), 47 (GRE) or UDP port 6080 (GUE) from ${director} through every firewall on the way, that of ${rip} first.`,
    ],
    "network.lost": [
      `Packets leave ${director} and do not come in on ${rip}.`,
      "Both must be on one link for DR; look at the switch, at anti-spoofing and at the neighbour entry (ip neigh).",
    ],
    "vip.missing": [
      `${rip} gets the packets but does not hold ${vip}, so it drops them.`,
      `Bind ${vip}/${hostPrefix(vip)} to lo; the agent does so by itself unless it was told to change nothing.`,
    ],
    "realServer.rpFilter": [
      `rp_filter on ${rip} drops the packets: their source is not where they come from.`,
      "Set rp_filter to 2 on the device they come in by (and 0 or 2 on all), and give a tunnel device an IPv4 address.",
    ],
    "realServer.dropped": [
      `${rip} gets the packets and does not deliver them, though it holds ${vip}.`,
      "Look for rules in the raw, mangle and nat tables, and at nstat for what the kernel drops.",
    ],
    "service.notOnVip": [
      `The program on ${rip} listens on its own address only: it refuses clients of ${service}.`,
      `Let it listen on ${vip} or on all addresses (${all}).`,
    ],
    "service.notListening": [`Nobody listens for ${service} on ${rip}.`, "Start the program, or correct its port."],
    "realServer.firewall": [
      `The firewall of ${rip} drops packets for ${service} without a word.`,
      `Accept ${protocol.toUpperCase()} to ${service} in its INPUT chain.`,
    ],
    "realServer.rejects": [
      `Something on ${rip} refuses connections to ${service}, though a program listens.`,
      `Look for a REJECT rule in its INPUT chain.`,
    ],
    "service.silent": [
      `A program on ${rip} listens for ${service}, and gives no answer to the payload of the service's check.`,
      `Ask it by hand with that payload from another machine at ${service}; look how it answers where it is bound to all addresses.`,
    ],
    "reply.unasked": [
      `Packets reach ${service} on ${rip}; whether it answers cannot be known without a payload to ask with.`,
      "Give the service a UDP check with a payload that it answers.",
    ],
    "realServer.unasked": [
      `Packets leave ${director}; without a payload to ask with, and without an agent on ${rip} that counts them, nothing tells how far they come.`,
      `Give the service a UDP check with a payload that it answers, or (DR and Tunnel) enroll ${rip}.`,
    ],
    "reply.lost": [
      `${rip} answers as ${vip}, and the reply does not reach ${director}.`,
      `Look at the OUTPUT chain of ${rip}, and at anti-spoofing on the network that stops packets from ${vip}.`,
    ],
    "director.rpFilter": [
      `Replies reach ${director}, and its rp_filter of 1 drops the probe's; clients elsewhere are not concerned.`,
      `Set rp_filter to 2 on ${director}.`,
    ],
    "director.firewall": [
      `Replies reach ${director}, and its own firewall drops the probe's.`,
      `Accept them in the INPUT chain of ${director}; clients elsewhere are not concerned.`,
    ],
    "mtu.hole": [
      `Small packets pass to ${rip}, full-sized ones are lost: some link on the way carries less and does not say so.`,
      `Raise the MTU between ${director} and ${rip} by the tunnel's overhead, or lower the clients' segments (MSS).`,
    ],
    "realServer.noWord": [
      `Packets leave ${director} and nothing comes back; no agent on ${rip} says how far they came.`,
      `Enroll ${rip} or start its agent to see the failing step; then look at VIP, firewall and tunnel there.`,
    ],
  };
  const [message, fix] = words[cause];
  return { message, fix };
}
