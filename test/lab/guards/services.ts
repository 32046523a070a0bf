import type { Lab } from "@trigon/lab";
import { applyPlan, fragmentsOf } from "../agent.ts";

export const vips = {
  dr: "10.2.0.100",
  tun: "10.2.0.101",
  nat: "10.2.0.102",
  fullnat: "10.2.0.103",
  sticky: "10.2.0.104",
  hashed: "10.2.0.105",
  oneArmed: "10.2.0.106",
};

/** Its VIP answers no echo request. */
const dr = fragmentsOf({
  vip: vips.dr,
  forwarding: "dr",
  allow: [],
  ping: false,
  realServers: [
    { host: "rs1", rip: "10.2.0.21" },
    { host: "rs2", rip: "10.2.0.22" },
  ],
});
const pinned = fragmentsOf({
  vip: vips.sticky,
  forwarding: "dr",
  allow: [],
  realServers: [
    { host: "rs1", rip: "10.2.0.21" },
    { host: "rs2", rip: "10.2.0.22" },
  ],
});
const sticky = { ...pinned, service: { ...pinned.service, persistence: { timeoutSeconds: 300, granularity: 32 } } };
const spread = fragmentsOf({
  vip: vips.hashed,
  forwarding: "dr",
  allow: [],
  scheduler: "sh",
  realServers: [
    { host: "rs1", rip: "10.2.0.21" },
    { host: "rs2", rip: "10.2.0.22" },
  ],
});
/** By the client's address, while rs1 is drained. */
const hashed = {
  ...spread,
  service: {
    ...spread.service,
    destinations: spread.service.destinations.map((one) =>
      one.realServerId === "rs_rs1" ? { ...one, adminState: "draining" } : one,
    ),
  },
};
const tun = fragmentsOf({
  vip: vips.tun,
  forwarding: "tun",
  allow: [],
  realServers: [
    { host: "rs3", rip: "10.2.0.23" },
    { host: "rs4", rip: "10.3.0.24" },
  ],
});
const nat = fragmentsOf({
  vip: vips.nat,
  forwarding: "nat",
  allow: [],
  realServers: [
    { host: "rs5", rip: "10.4.0.25", port: 8080 },
    { host: "rs6", rip: "10.4.0.26", port: 8080 },
  ],
});
/** Its real server is on the director's own link, where clients come in too. */
const oneArmed = fragmentsOf({
  vip: vips.oneArmed,
  forwarding: "nat",
  allow: [],
  realServers: [{ host: "rs3", rip: "10.2.0.23" }],
});
const fullnat = fragmentsOf({
  vip: vips.fullnat,
  forwarding: "fullnat",
  allow: [],
  snatSource: "dip",
  realServers: [
    { host: "rs1", rip: "10.2.0.21" },
    { host: "rs2", rip: "10.2.0.22" },
  ],
});
// A director with full NAT tracks connections; DR and Tunnel must not be tracked there.
const untracked = <T extends object>(service: T) => ({ ...service, notrack: true });

/** What each node of the demo topology is to hold: one service of each forwarding, NAT on one link too, one that pins its clients and one that hashes them. */
const plans: Record<string, readonly unknown[]> = {
  rs1: [dr, sticky, hashed].map((one) => one.realServer("rs1")),
  rs2: [dr, sticky, hashed].map((one) => one.realServer("rs2")),
  rs3: [tun.realServer("rs3")],
  rs4: [tun.realServer("rs4")],
  dir1: [
    ...[dr, tun, sticky, hashed].map(({ service }) => untracked(service)),
    ...[nat, oneArmed, fullnat].map(({ service }) => service),
    ...[dr, tun, sticky, hashed, nat, oneArmed, fullnat].map(({ vip }) => vip),
  ],
};
export const nodes = Object.keys(plans);

/** Puts everything in place, and puts it right again where a guard was switched off. */
export async function applyServices(lab: Lab, hosts: readonly string[] = nodes): Promise<void> {
  for (const name of hosts) await applyPlan(lab.host(name), plans[name]!);
}
