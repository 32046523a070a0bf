import {
  type ArrivalReport,
  endpoint,
  type Forwarding,
  familyOf,
  hostPrefix,
  type PathCause,
  type PathReport,
  type PathStep,
  unreachable,
} from "@trigon/model";

/** When something was said, on the listener's clock. */
export interface Said<T> {
  report: T;
  at: number;
}

export interface PathInput {
  forwarding: Forwarding;
  director: Said<PathReport>;
  /** `unmanaged`: nobody's agent runs there, or none that counts (NAT). `silent`: its agent says nothing now. */
  realServer: Said<ArrivalReport> | "unmanaged" | "silent";
}

export interface PathVerdict {
  state: "proved" | "failed" | "checking";
  step: PathStep | null;
  cause: PathCause | null;
}

/** A real server's counts are read now and then: so much later its word covers the probe that failed. */
const settledMs = 5_000;
/** A count seen to grow so much before the failure began is of a probe before it. */
const slackMs = 500;

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
      return report.sent === 0 ? failed("sent", "director.notSent") : onTheWay(input, report.outcome);
    default:
      return unreachable(report.outcome);
  }
}

/** The packets left the director, and no connection came about. */
function onTheWay(input: PathInput, outcome: "refused" | "timeout"): PathVerdict {
  const { director, realServer } = input;
  const { returned, rpFilter } = director.report;
  // Whatever answered did so as the VIP: the way there and back is open but for the last step.
  if (outcome === "timeout" && returned > 0) {
    return failed("returned", rpFilter === 1 ? "director.rpFilter" : "director.firewall");
  }
  if (realServer === "unmanaged" || realServer === "silent") {
    if (outcome === "refused" && returned > 0) return failed("answered", "service.notListening");
    return failed(null, "realServer.noWord");
  }
  const failingSince = director.at - director.report.sinceMs;
  if (realServer.at < failingSince + settledMs) return { state: "checking", step: null, cause: null };
  const end = realServer.report;
  const since = (agoMs: number | null) => agoMs !== null && realServer.at - agoMs > failingSince - slackMs;
  if (!since(end.arrivedAgoMs)) return notArrived(input.forwarding, end);
  if (!since(end.deliveredAgoMs)) return notDelivered(input.forwarding, end);
  if (outcome === "refused") return refusedByVip(end);
  if (!since(end.answeredAgoMs)) return failed("answered", "realServer.firewall");
  return failed("returned", "reply.lost");
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
  port: number;
  rip: string;
  director: string;
}

/** What is wrong and what helps, in English; the console has its own words by cause. */
export function pathWords(cause: PathCause, { vip, port, rip, director }: PathNames): { message: string; fix: string } {
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
      `Accept TCP to ${service} in its INPUT chain.`,
    ],
    "realServer.rejects": [
      `Something on ${rip} refuses connections to ${service}, though a program listens.`,
      `Look for a REJECT rule in its INPUT chain.`,
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
