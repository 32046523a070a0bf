import { join } from "node:path";
import { type Lab, until } from "@trigon/lab";
import { type ArrivalReport, HealthSpec, type PathReport } from "@trigon/model";
import { judgePath, type PathVerdict } from "@trigon/planner";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { applyPlan, fragmentsOf, installAgent, startAgent } from "../agent.ts";
import { useLab } from "../use-lab.ts";
import { holdAgent, pathsOf } from "./agents.ts";

const director = "10.2.0.11";
const director6 = "2001:db8:2::11";
const port = 9053;
/** `mute` and `tunMute` have a check without a payload. */
const shapes = {
  dr: { vip: "10.2.0.103", forwarding: "dr", host: "rs1", rip: "10.2.0.21", asks: true },
  mute: { vip: "10.2.0.104", forwarding: "dr", host: "rs1", rip: "10.2.0.21", asks: false },
  tun: { vip: "10.2.0.105", forwarding: "tun", host: "rs4", rip: "10.3.0.24", asks: true },
  tunMute: { vip: "10.2.0.106", forwarding: "tun", host: "rs4", rip: "10.3.0.24", asks: false },
  dr6: { vip: "2001:db8:2::103", forwarding: "dr", host: "rs2", rip: "2001:db8:2::22", asks: true },
  fullnat: { vip: "10.2.0.107", forwarding: "fullnat", host: "rs3", rip: "10.2.0.23", asks: true },
} as const;
type Kind = keyof typeof shapes;
const kinds = Object.keys(shapes) as Kind[];
const names = ["rs1", "rs2", "rs4", "dir1"] as const;

const echo = join(import.meta.dirname, "../../../packages/lab/tools/udp-echo.py");
/** Ends what serves in this lab host's own pid namespace, and serves at these addresses. */
const serveAt = (...addresses: string[]) =>
  [
    "pkill -f '^/usr/bin/python3 -IS [^ ]*udp-echo.py'",
    ...(addresses.length === 0
      ? []
      : [`setsid nohup ${echo} ${addresses.map((one) => `'${one}:${port}'`).join(" ")} >/run/udp-echo.log 2>&1 </dev/null &`]),
    `for try in $(seq 20); do [ $(ss -Hlun 'sport = :${port}' | wc -l) = ${addresses.length} ] && exit 0; sleep 0.2; done; exit 1`,
  ].join("\n");
const all = { rs1: serveAt("10.2.0.21", shapes.dr.vip, shapes.mute.vip), rs4: serveAt(shapes.tun.vip, shapes.tunMute.vip) };
/** A rule of the host's own firewall. */
const rule = (words: string) => ({ make: `iptables-legacy -A ${words}`, mend: `iptables-legacy -D ${words}` });
/** Waits until a rule of this text has counted a packet, and answers how iptables prints it. */
const counted = (lab: Lab, host: string, text: string) =>
  lab
    .host(host)
    .sh(
      `for try in $(seq 60); do iptables-legacy-save -c | grep -- '${text}' | grep -v '^.0:' && exit 0; sleep 0.5; done; echo never`,
      { timeoutMs: 60_000 },
    );
/** A probe as it comes in, by tcpdump. */
const probeAt = (lab: Lab, host: string, device: string, vip: string) =>
  lab.host(host).sh(`timeout 30 tcpdump -nn -c 1 -i ${device} 'udp and dst ${vip}' 2>/dev/null`, { timeoutMs: 40_000 });

const proved: PathVerdict = { state: "proved", step: null, cause: null };
/** Packets arrive, and nothing more can be known. */
const arrived: PathVerdict = { state: "arrived", step: null, cause: "reply.unasked" };
const fails = (step: PathVerdict["step"], cause: PathVerdict["cause"]): PathVerdict => ({ state: "failed", step, cause });

interface Fault {
  name: string;
  /** What each of these paths must then say. */
  wanted: Partial<Record<Kind, PathVerdict>>;
  steps: readonly { host: string; make: string; mend: string; isHeld?: boolean }[];
  /** What the kernel itself says of the fault, and what that must be like. */
  evidence(lab: Lab): Promise<string>;
  like: RegExp;
}

const faults: readonly Fault[] = [
  {
    name: "the program is bound to the RIP only",
    wanted: { dr: fails("answered", "service.notOnVip"), mute: fails("answered", "service.notOnVip") },
    steps: [{ host: "rs1", make: serveAt("10.2.0.21"), mend: all.rs1 }],
    evidence: (lab) => lab.host("rs1").sh(`ss -Hlun 'sport = :${port}'`),
    like: /^UNCONN\s+\S+\s+\S+\s+10\.2\.0\.21:9053 [^\n]*$/,
  },
  {
    name: "nobody listens",
    wanted: { tun: fails("answered", "service.notListening"), tunMute: fails("answered", "service.notListening") },
    steps: [{ host: "rs4", make: serveAt(), mend: all.rs4 }],
    evidence: (lab) =>
      lab.host("dir1").sh("timeout 30 tcpdump -nn -c 1 -i eth0 'icmp[0] = 3 and icmp[1] = 3 and net 10.2.0.104/30' 2>/dev/null", {
        timeoutMs: 40_000,
      }),
    like: /10\.2\.0\.10[56] > 10\.2\.0\.11: ICMP 10\.2\.0\.10[56] udp port 9053 unreachable/,
  },
  {
    name: "the program takes the payload and says nothing",
    wanted: { dr: fails("answered", "service.silent"), mute: arrived },
    steps: [
      {
        host: "rs1",
        make: "pkill -STOP -f '^/usr/bin/python3 -IS [^ ]*udp-echo.py'",
        mend: "pkill -CONT -f '^/usr/bin/python3 -IS [^ ]*udp-echo.py'",
      },
    ],
    evidence: (lab) => lab.host("rs1").sh("ps -eo stat,args | grep 'udp-ech[o]'"),
    like: /^T/,
  },
  {
    name: "the VIP is missing from lo",
    wanted: { dr: fails("answered", "vip.missing"), mute: fails("answered", "vip.missing") },
    steps: [
      {
        host: "rs1",
        make: `ip addr del ${shapes.dr.vip}/32 dev lo; ip addr del ${shapes.mute.vip}/32 dev lo`,
        mend: "true",
        isHeld: true,
      },
    ],
    evidence: async (lab) =>
      `${await lab.host("rs1").sh("ip -br addr show dev lo")}\n${await probeAt(lab, "rs1", "eth0", shapes.dr.vip)}`,
    like: /^lo +\S+ +127\.0\.0\.1\/8(?: ::1\/128)? *\n.*10\.2\.0\.11\.6[45]\d{3} > 10\.2\.0\.103\.9053: UDP/,
  },
  {
    name: "the tunnel is down",
    wanted: { tun: fails("arrived", "tunnel.down"), tunMute: fails("arrived", "tunnel.down") },
    steps: [{ host: "rs4", make: "ip link set trg-1 down", mend: "true", isHeld: true }],
    evidence: (lab) => lab.host("rs4").sh("ip -br link show dev trg-1"),
    like: /^trg-1@NONE +DOWN/,
  },
  {
    name: "the real server's firewall drops the service",
    wanted: { dr: fails("answered", "realServer.firewall"), mute: fails("answered", "realServer.firewall") },
    steps: [{ host: "rs1", ...rule(`INPUT -p udp -m udp --dport ${port} -j DROP`) }],
    evidence: (lab) => counted(lab, "rs1", `dport ${port} -j DROP`),
    like: /^\[[1-9]/,
  },
  {
    name: "the real server's firewall rejects the service",
    wanted: { dr: fails("answered", "realServer.rejects"), mute: fails("answered", "realServer.rejects") },
    steps: [{ host: "rs1", ...rule(`INPUT -p udp -m udp --dport ${port} -j REJECT --reject-with icmp-port-unreachable`) }],
    evidence: (lab) => counted(lab, "rs1", `dport ${port} -j REJECT`),
    like: /^\[[1-9]/,
  },
  {
    name: "the director's firewall drops the tunnel's packets",
    wanted: { tun: fails("sent", "director.notSent"), tunMute: fails("sent", "director.notSent") },
    steps: [{ host: "dir1", ...rule("OUTPUT -p 4 -j DROP") }],
    evidence: (lab) => counted(lab, "dir1", "A OUTPUT .*-j DROP"),
    like: /^\[[1-9]/,
  },
  {
    name: "the real server's answers are lost",
    wanted: { dr: fails("returned", "reply.lost") },
    steps: [{ host: "rs1", ...rule(`OUTPUT -s ${shapes.dr.vip}/32 -j DROP`) }],
    evidence: (lab) => counted(lab, "rs1", "A OUTPUT .*-j DROP"),
    like: /^\[[1-9]/,
  },
];

describe("proof of the real path over UDP", { timeout: 150_000 }, () => {
  const lab = useLab();
  /** Pids of the agents. */
  const agents = new Map<string, number>();

  const hold = (name: string) => holdAgent(lab.host(name), agents.get(name)!, undo);

  beforeAll(async () => {
    await installAgent(...names.map((name) => lab.host(name)));
    await lab.host("dir1").sh(`ip addr add ${director6}/64 dev eth0 nodad`);
    await lab.host("rs2").sh(`ip addr add 2001:db8:2::22/64 dev eth0 nodad\n${serveAt(`[${shapes.dr6.vip}]`)}`);
    await lab.host("rs1").sh(all.rs1);
    await lab.host("rs4").sh(all.rs4);
    await lab.host("rs3").sh(serveAt("10.2.0.23"));
    const made = kinds.map((kind) => {
      const { vip, forwarding, host, rip, asks } = shapes[kind];
      const own = fragmentsOf({ vip, port, forwarding, realServers: [{ host, rip }], name: kind });
      const check = asks ? { kind: "udp", payload: "ping", reply: "pong" } : { kind: "icmp" };
      const health = { ...HealthSpec.parse({ check }), sorryServer: null };
      const service = { ...own.service, protocol: "udp", provesPaths: true, health };
      const probedFrom = [vip.includes(":") ? director6 : director];
      return { host, service, vip: own.vip, realServer: { ...own.realServer(host), protocol: "udp", probedFrom } };
    });
    for (const name of ["rs1", "rs2", "rs4"])
      await applyPlan(
        lab.host(name),
        made.filter(({ host }) => host === name).map(({ realServer }) => realServer),
      );
    await applyPlan(
      lab.host("dir1"),
      made.flatMap(({ service, vip }) => [service, vip]),
    );
    for (const name of names) agents.set(name, await startAgent(lab.host(name)));
  }, 300_000);

  /** The verdict on a path from what its two ends say now, as the controller joins it. */
  async function verdict(kind: Kind): Promise<PathVerdict & { report?: PathReport; arrival?: ArrivalReport }> {
    const { forwarding, host } = shapes[kind];
    const [said, seen] = await Promise.all([pathsOf(lab.host("dir1")), kind === "fullnat" ? undefined : pathsOf(lab.host(host))]);
    const at = Date.now();
    const report = said.paths?.find(({ serviceId }) => serviceId === `vs_${kind}`);
    const arrival = seen?.arrivals?.find(({ serviceId }) => serviceId === `vs_${kind}`);
    if (!report || (seen && !arrival)) return { state: "checking", step: null, cause: null };
    const realServer = arrival ? { report: arrival, at } : "unmanaged";
    const joined = judgePath({ forwarding, protocol: "udp", director: { report, at }, realServer });
    return { ...joined, report, ...(arrival ? { arrival } : {}) };
  }

  async function becomes(kind: Kind, wanted: PathVerdict): Promise<void> {
    let last: unknown;
    const isSo = async () => {
      last = await verdict(kind);
      const { state, step, cause } = last as PathVerdict;
      return state === wanted.state && step === wanted.step && cause === wanted.cause;
    };
    await until(`the ${kind} path to be ${JSON.stringify(wanted)}`, isSo, { deadlineMs: 75_000, everyMs: 500 }).catch((error) => {
      throw new Error(`${(error as Error).message}; last: ${JSON.stringify(last)}`);
    });
  }
  const healthy = (kind: Kind) => becomes(kind, shapes[kind].asks ? proved : arrived);

  const undo: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const one of undo.splice(0).reverse()) await one();
  });

  test("a reply to the check's payload proves a path; without a payload packets are known to arrive, and no more", async () => {
    await Promise.all(kinds.map(healthy));
    // Outside the services' own statistics, which the kernel sums up every two seconds.
    let rates = "";
    const areCounted = async () => {
      rates = await lab.host("dir1").sh("ipvsadm -Ln --stats --exact");
      return /^FWM +21586 +[1-9]/m.test(rates) && /^FWM +21586 IPv6 +[1-9]/m.test(rates);
    };
    await until("the probes to be counted", areCounted, { deadlineMs: 30_000, everyMs: 500 });
    for (const kind of ["dr", "mute", "tun", "tunMute"] as const)
      expect(rates).toMatch(new RegExp(`^UDP +${shapes[kind].vip}:${port} +0 `, "m"));
  });

  test.each(faults)("$name", async ({ wanted, steps, evidence, like }) => {
    const entries = Object.entries(wanted) as [Kind, PathVerdict][];
    await Promise.all(entries.map(([kind]) => healthy(kind)));
    for (const { host, make, mend, isHeld } of steps) {
      const on = lab.host(host);
      if (isHeld) await hold(host);
      // Counts are read when they are asked for: what grew before the fault shall not be taken for later.
      await Promise.all(entries.map(([kind]) => verdict(kind)));
      undo.push(() => on.sh(mend));
      await on.sh(make);
    }
    expect(await evidence(lab)).toMatch(like);
    await Promise.all(entries.map(([kind, verdict]) => becomes(kind, verdict)));
    for (const one of undo.splice(0).reverse()) await one();
    await Promise.all(entries.map(([kind]) => healthy(kind)));
  });
});
