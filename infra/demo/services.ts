import type { VirtualServiceInput } from "@trigon/model";

/** One virtual service per forwarding, for the demo topology of packages/lab. */
export const demoServices: readonly VirtualServiceInput[] = [
  {
    name: "web-dr",
    description: "Direct routing: three real servers on the director's own subnet",
    vip: "10.2.0.100",
    port: 80,
    forwarding: "dr",
    scheduler: "rr",
    realServers: [{ rip: "10.2.0.21" }, { rip: "10.2.0.22" }, { rip: "10.2.0.23" }],
  },
  {
    name: "web-tunnel",
    description: "IP-in-IP: a real server on another subnet, and one nearby",
    vip: "10.2.0.101",
    port: 80,
    forwarding: "tun",
    scheduler: "rr",
    realServers: [{ rip: "10.3.0.24" }, { rip: "10.2.0.21" }],
  },
  {
    name: "web-nat",
    description: "NAT: VIP:80 becomes RIP:8080, the director is the real servers' gateway",
    vip: "10.2.0.102",
    port: 80,
    forwarding: "nat",
    scheduler: "rr",
    realServers: [
      { rip: "10.4.0.25", port: 8080 },
      { rip: "10.4.0.26", port: 8080 },
    ],
  },
  {
    name: "web-fullnat",
    description: "Full NAT: the real servers see the balancer's address",
    vip: "10.2.0.103",
    port: 80,
    forwarding: "fullnat",
    scheduler: "rr",
    realServers: [{ rip: "10.2.0.22" }, { rip: "10.2.0.23" }],
  },
];

/** The lab host that owns each RIP: which real servers must answer for a service. */
export const hostOfRip: Readonly<Record<string, string>> = {
  "10.2.0.21": "rs1",
  "10.2.0.22": "rs2",
  "10.2.0.23": "rs3",
  "10.3.0.24": "rs4",
  "10.4.0.25": "rs5",
  "10.4.0.26": "rs6",
};

/** Every lab host that takes part, with its role. Directors first: the first one that enrolls holds the VIPs. */
export const demoNodes = [
  { host: "dir1", role: "director" },
  { host: "dir2", role: "director" },
  { host: "rs1", role: "realServer" },
  { host: "rs2", role: "realServer" },
  { host: "rs3", role: "realServer" },
  { host: "rs4", role: "realServer" },
  { host: "rs5", role: "realServer" },
  { host: "rs6", role: "realServer" },
] as const;
