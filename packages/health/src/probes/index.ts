import { unreachable } from "@trigon/model";
import type { Probe } from "../probe.ts";
import { probeHttp } from "./http.ts";
import { probeIcmp } from "./ping.ts";
import { probeTcp, probeTls } from "./stream.ts";
import { probeUdp } from "./udp.ts";

export { passesStatus } from "./http.ts";

/** The real probes, over this machine's network. */
export const probe: Probe = (target, check) => {
  switch (check.kind) {
    case "tcp":
      return probeTcp(target, check);
    case "tls":
      return probeTls(target, check);
    case "http":
    case "https":
      return probeHttp(target, check);
    case "udp":
      return probeUdp(target, check);
    case "icmp":
      return probeIcmp(target, check);
    default:
      return unreachable(check);
  }
};
