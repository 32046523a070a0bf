import { join } from "node:path";
import type { Lab } from "@trigon/lab";
import type { PathCause, PathStep } from "@trigon/model";

/** The VIP of each path under test, by its forwarding; `dr6` goes over IPv6. */
export const vips = { dr: "10.2.0.100", tun: "10.2.0.101", dr6: "2001:db8:2::100" } as const;

/** A fault made by hand on a path, and what the path's verdict must then say. */
export interface Fault {
  name: string;
  /** Where the same fault is made; all of them must say so. */
  paths: readonly (keyof typeof vips)[];
  step: PathStep;
  cause: PathCause;
  /** What is done and undone. `isHeld`: the agent there would put it right, so it is told to change nothing meanwhile. */
  steps: readonly { host: string; make: string; mend: string; isHeld?: boolean }[];
  /** What the kernel itself says of the fault, and what that must be like. */
  evidence(lab: Lab): Promise<string>;
  wanted: RegExp;
}

const httpd = join(import.meta.dirname, "../../../packages/lab/tools/httpd.py");
/** Ends what serves, in this lab host's own pid namespace, and serves on that address. */
export const serveOn = (address: string) =>
  `pkill -f '^/usr/bin/python3 -IS [^ ]*httpd.py'; setsid nohup ${httpd} web '${address}:80' >/run/httpd-path.log 2>&1 </dev/null & ` +
  `for try in 1 2 3 4 5 6 7 8 9 10; do ss -Hltn 'sport = :80' | grep -qF '${address}:80' && exit 0; sleep 0.3; done; exit 1`;
/** A rule of the host's own firewall. */
const rule = (words: string) => ({ make: `iptables-legacy -A ${words}`, mend: `iptables-legacy -D ${words}` });
/** A probe as it comes in on a real server, by tcpdump, whose `tcp[…]` does not look into IPv6. */
const probeAt = (lab: Lab, host: string, device: string, vip: string) => {
  const syn = vip.includes(":") ? "ip6[53] & 2 != 0" : "tcp[tcpflags] & tcp-syn != 0";
  return lab.host(host).sh(`timeout 30 tcpdump -nn -c 1 -i ${device} 'tcp and ${syn} and dst ${vip}' 2>/dev/null`, {
    timeoutMs: 40_000,
  });
};
/** Waits until a rule of this text has counted a packet, and answers how iptables prints it. */
const counted = (lab: Lab, host: string, text: string) =>
  lab
    .host(host)
    .sh(
      `for try in $(seq 60); do iptables-legacy-save -c | grep -- '${text}' | grep -v '^.0:' && exit 0; sleep 0.5; done; echo never`,
      { timeoutMs: 60_000 },
    );
const probe = /10\.2\.0\.11\.6[45]\d{3} > 10\.2\.0\.10[01]\.80: Flags \[S\]/;
const probe6 = /2001:db8:2::11\.6[45]\d{3} > 2001:db8:2::100\.80: Flags \[S\]/;

export const faults: readonly Fault[] = [
  {
    name: "the service is bound to the RIP only",
    paths: ["dr", "dr6"],
    step: "answered",
    cause: "service.notOnVip",
    steps: [
      { host: "rs1", make: serveOn("10.2.0.21"), mend: serveOn("0.0.0.0") },
      { host: "rs2", make: serveOn("[2001:db8:2::22]"), mend: serveOn("[::]") },
    ],
    evidence: async (lab) =>
      `${await lab.host("rs1").sh("ss -Hltn 'sport = :80'")} ${await lab.host("rs2").sh("ss -Hltn 'sport = :80'")}`,
    wanted: /10\.2\.0\.21:80 [\s\S]*\[2001:db8:2::22\]:80 /,
  },
  {
    name: "the VIP is missing from lo",
    paths: ["dr", "dr6"],
    step: "answered",
    cause: "vip.missing",
    steps: [
      { host: "rs1", make: `ip addr del ${vips.dr}/32 dev lo`, mend: "true", isHeld: true },
      { host: "rs2", make: `ip addr del ${vips.dr6}/128 dev lo`, mend: "true", isHeld: true },
    ],
    evidence: async (lab) => {
      const show = (host: string) => lab.host(host).sh("ip -br addr show dev lo");
      const probes = [probeAt(lab, "rs1", "eth0", vips.dr), probeAt(lab, "rs2", "eth0", vips.dr6)];
      return [await show("rs1"), await show("rs2"), ...(await Promise.all(probes))].join("\n");
    },
    wanted: new RegExp(`^(lo +\\S+ +127\\.0\\.0\\.1/8(?: ::1/128)? *\n){2}.*${probe.source}.*\n.*${probe6.source}`),
  },
  {
    name: "the tunnel is down",
    paths: ["tun"],
    step: "arrived",
    cause: "tunnel.down",
    steps: [{ host: "rs4", make: "ip link set trg-1 down", mend: "true", isHeld: true }],
    evidence: (lab) => lab.host("rs4").sh("ip -br link show dev trg-1"),
    wanted: /^trg-1@NONE +DOWN/,
  },
  {
    name: "rp_filter is strict",
    paths: ["tun"],
    step: "answered",
    cause: "realServer.rpFilter",
    steps: [
      {
        host: "rs4",
        make: "sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.trg-1.rp_filter=1",
        mend: "sysctl -qw net.ipv4.conf.all.rp_filter=2",
        isHeld: true,
      },
    ],
    evidence: (lab) => probeAt(lab, "rs4", "trg-1", vips.tun),
    wanted: probe,
  },
  {
    name: "the real server's firewall drops the service",
    paths: ["dr"],
    step: "answered",
    cause: "realServer.firewall",
    steps: [{ host: "rs1", ...rule(`INPUT -d ${vips.dr}/32 -p tcp -m tcp --dport 80 -j DROP`) }],
    evidence: (lab) => counted(lab, "rs1", "dport 80 -j DROP"),
    wanted: /^\[[1-9]/,
  },
  {
    name: "the real server's firewall drops the tunnel's packets",
    paths: ["tun"],
    step: "arrived",
    cause: "encapsulation.lost",
    steps: [{ host: "rs4", ...rule("INPUT -p 4 -j DROP") }],
    evidence: (lab) => counted(lab, "rs4", "A INPUT .*-j DROP"),
    wanted: /^\[[1-9]/,
  },
  {
    name: "the director's firewall drops the tunnel's packets",
    paths: ["tun"],
    step: "sent",
    cause: "director.notSent",
    steps: [{ host: "dir1", ...rule("OUTPUT -p 4 -j DROP") }],
    evidence: (lab) => counted(lab, "dir1", "A OUTPUT .*-j DROP"),
    wanted: /^\[[1-9]/,
  },
  {
    name: "the real server's answers are lost",
    paths: ["dr"],
    step: "returned",
    cause: "reply.lost",
    steps: [{ host: "rs1", ...rule(`OUTPUT -s ${vips.dr}/32 -j DROP`) }],
    evidence: (lab) => counted(lab, "rs1", "A OUTPUT .*-j DROP"),
    wanted: /^\[[1-9]/,
  },
  {
    name: "a link between carries less and does not say so",
    paths: ["tun"],
    step: "large",
    cause: "mtu.hole",
    steps: [
      { host: "router", ...rule("OUTPUT -p icmp -m icmp --icmp-type 3/4 -j DROP") },
      { host: "router", make: "ip link set eth2 mtu 1400", mend: "ip link set eth2 mtu 1500" },
    ],
    evidence: (lab) => counted(lab, "router", "icmp-type 3/4 -j DROP"),
    wanted: /^\[[1-9]/,
  },
  {
    name: "the real server's link takes no full frames, and the service speaks no HTTP",
    paths: ["dr"],
    step: "large",
    cause: "mtu.hole",
    steps: [{ host: "rs1", make: "ip link set eth0 mtu 1400", mend: "ip link set eth0 mtu 1500" }],
    evidence: (lab) =>
      lab
        .host("dir1")
        .sh("ping -n -c 1 -W 2 -M do -s 1000 10.2.0.21 | grep loss; ping -n -c 1 -W 2 -M do -s 1472 10.2.0.21 | grep loss"),
    wanted: /, 0% packet loss[\s\S]*, 100% packet loss/,
  },
];
