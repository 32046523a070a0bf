import type { ArrivalReport, PathReport } from "@trigon/model";
import { expect, test } from "vitest";
import { judgePath, pathWords } from "./judge-path.ts";

const path = (change: Partial<PathReport>): PathReport => ({
  serviceId: "vs_1",
  realServerId: "rs_1",
  outcome: "timeout",
  latencyMs: null,
  large: null,
  sent: 3,
  returned: 0,
  rpFilter: 2,
  agoMs: 1_000,
  sinceMs: 20_000,
  message: null,
  ...change,
});
const seen = (change: Partial<ArrivalReport>): ArrivalReport => ({
  serviceId: "vs_1",
  arrivedAgoMs: 1_000,
  deliveredAgoMs: 1_000,
  answeredAgoMs: 1_000,
  vipBound: true,
  tunnelUp: null,
  tunnelAddressed: null,
  rpFilter: 2,
  listener: "vip",
  ...change,
});
const now = 1_000_000;
const judge = (
  director: Partial<PathReport>,
  realServer: Partial<ArrivalReport> | "unmanaged" | "silent" = {},
  forwarding: "dr" | "tun" = "dr",
  protocol: "tcp" | "udp" = "tcp",
) =>
  judgePath({
    forwarding,
    protocol,
    director: { report: path(director), at: now },
    realServer: typeof realServer === "string" ? realServer : { report: seen(realServer), at: now },
  });
const none = { arrivedAgoMs: null, deliveredAgoMs: null, answeredAgoMs: null };
const tunnel = { tunnelUp: true, tunnelAddressed: true };

test.each([
  ["a path that works", judge({ outcome: "ok" }), null, null],
  ["nothing left", judge({ sent: 0 }), "sent", "director.notSent"],
  ["nothing came in", judge({}, none), "arrived", "network.lost"],
  ["arrivals before the failure", judge({}, { arrivedAgoMs: 21_000 }), "arrived", "network.lost"],
  [
    "a tunnel that is down",
    judge({ outcome: "refused" }, { ...none, ...tunnel, tunnelUp: false }, "tun"),
    "arrived",
    "tunnel.down",
  ],
  ["wrapping lost", judge({}, { ...none, ...tunnel }, "tun"), "arrived", "encapsulation.lost"],
  ["no VIP", judge({}, { deliveredAgoMs: null, answeredAgoMs: null, vipBound: false }), "answered", "vip.missing"],
  ["strict rp_filter", judge({}, { ...tunnel, deliveredAgoMs: null, rpFilter: 1 }, "tun"), "answered", "realServer.rpFilter"],
  [
    "loose rp_filter without an address",
    judge({}, { tunnelUp: true, tunnelAddressed: false, deliveredAgoMs: null }, "tun"),
    "answered",
    "realServer.rpFilter",
  ],
  ["not let in for another reason", judge({}, { ...tunnel, deliveredAgoMs: null }, "tun"), "answered", "realServer.dropped"],
  ["bound to the RIP", judge({ outcome: "refused", returned: 1 }, { listener: "other" }), "answered", "service.notOnVip"],
  ["nobody listens", judge({ outcome: "refused", returned: 1 }, { listener: "none" }), "answered", "service.notListening"],
  ["a REJECT rule", judge({ outcome: "refused" }, {}), "answered", "realServer.rejects"],
  ["a DROP rule", judge({}, { answeredAgoMs: null }), "answered", "realServer.firewall"],
  ["a reply that is lost", judge({}), "returned", "reply.lost"],
  ["a reply that the director drops", judge({ returned: 3 }), "returned", "director.firewall"],
  ["a director's strict rp_filter", judge({ returned: 3, rpFilter: 1 }), "returned", "director.rpFilter"],
  ["an MTU hole", judge({ outcome: "large" }), "large", "mtu.hole"],
  ["no agent there", judge({}, "unmanaged"), null, "realServer.noWord"],
  ["refused, no agent there", judge({ outcome: "refused", returned: 1 }, "silent"), "answered", "service.notListening"],
])("%s", (_, verdict, step, cause) => {
  expect(verdict).toMatchObject({ step, cause, state: cause === null ? "proved" : "failed" });
});

/** Over UDP, where the machine's own firewall is counted too. */
const udp = (director: Partial<PathReport>, end: Partial<ArrivalReport> = {}) =>
  judge(director, { acceptedAgoMs: 1_000, ...end }, "dr", "udp");
const quiet = { outcome: "silent", agoMs: 8_000, sinceMs: 600_000, previousAgoMs: 18_000 } as const;
const at = { arrivedAgoMs: 9_000, deliveredAgoMs: 9_000, acceptedAgoMs: 9_000, answeredAgoMs: null } as const;
const long = { acceptedAgoMs: 90_000 } as const;

test.each([
  ["a payload without an answer", udp({}, { answeredAgoMs: null }), "failed", "service.silent"],
  ["a payload whose answer is lost", udp({}), "failed", "reply.lost"],
  ["a payload that a firewall drops", udp({}, { acceptedAgoMs: null, answeredAgoMs: null }), "failed", "realServer.firewall"],
  ["a payload that a firewall refuses", udp({ outcome: "refused" }, { acceptedAgoMs: null }), "failed", "realServer.rejects"],
  [
    "a payload, nobody listens, and no word of it",
    udp({}, { answeredAgoMs: null, listener: "none" }),
    "failed",
    "service.notListening",
  ],
  ["silence", udp(quiet, at), "arrived", "reply.unasked"],
  ["silence, nothing left", udp({ ...quiet, sent: 0 }, at), "failed", "director.notSent"],
  ["silence, nothing came in by the last probe", udp(quiet, { ...at, arrivedAgoMs: 20_000 }), "failed", "network.lost"],
  ["silence, nothing came through the firewall", udp(quiet, { ...at, ...long }), "failed", "realServer.firewall"],
  ["silence, no VIP", udp(quiet, { ...at, deliveredAgoMs: null, vipBound: false }), "failed", "vip.missing"],
  ["silence, bound to the RIP", udp(quiet, { ...at, listener: "other" }), "failed", "service.notOnVip"],
  ["silence, an answer was lost", udp(quiet, { ...at, answeredAgoMs: 9_000 }), "failed", "reply.lost"],
  ["silence, no agent there", judge(quiet, "unmanaged", "dr", "udp"), "none", "realServer.unasked"],
  // The word covers the probe before the last only: by that one things arrived.
  ["silence, an older word", udp({ ...quiet, agoMs: 100, previousAgoMs: 10_100 }, at), "arrived", "reply.unasked"],
  ["silence, no word yet", udp({ ...quiet, agoMs: 100, previousAgoMs: null }, at), "checking", null],
])("over UDP: %s", (_, verdict, state, cause) => {
  expect(verdict).toMatchObject({ state, cause });
});

test("waits for a real server's word on the probe that failed", () => {
  expect(judge({ sinceMs: 1_000 }, none).state).toBe("checking");
});

test("a director that cannot probe says nothing of the path", () => {
  expect(judge({ outcome: "unable" }).state).toBe("checking");
});

test("words name both ends", () => {
  const { message, fix } = pathWords("vip.missing", {
    vip: "192.0.2.10",
    protocol: "tcp",
    port: 80,
    rip: "192.0.2.21",
    director: "dir1",
  });
  expect(message).toContain("192.0.2.21 gets the packets but does not hold 192.0.2.10");
  expect(fix).toContain("192.0.2.10/32");
  const over6 = { vip: "2001:db8::10", protocol: "tcp", port: 80, rip: "2001:db8::21", director: "dir1" } as const;
  expect(pathWords("vip.missing", over6).fix).toContain("2001:db8::10/128");
  expect(pathWords("service.notOnVip", over6).message).toContain("[2001:db8::10]:80");
  expect(pathWords("service.notOnVip", over6).fix).toContain("(::)");
});
