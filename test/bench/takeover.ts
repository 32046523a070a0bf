// `npm run bench -- takeover [--runs N] [--held N] [--only FAULT,…] [--json FILE]`: what a client sees of faults of a pair, beside keepalived configured by hand.
import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Lab, type LabHost, startLoad, stateFolder, until } from "@trigon/lab";
import { agentProtocol } from "@trigon/model";
import { agentStatus, applyPlan, fragmentsOf, holds, installAgent, startAgent } from "../lab/agent.ts";
import { areKnown, startProber } from "../lab/pair-traffic.ts";
import { report } from "./report.ts";
import { quantile } from "./statistics.ts";

const option = (name: string, otherwise: string) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : (process.argv[at + 1] ?? otherwise);
};
const runs = Number(option("runs", "20"));
const held = Number(option("held", "200"));

const directors = [
  { name: "dir1", address: "10.2.0.11", priority: 200 },
  { name: "dir2", address: "10.2.0.12", priority: 190 },
] as const;
type Director = (typeof directors)[number]["name"];
const other = (name: Director): Director => (name === "dir1" ? "dir2" : "dir1");

/** The NAT real servers' way back, which moves with the VIPs. */
const gateway = "10.4.0.254";
const services = [
  fragmentsOf({
    ...{ vip: "10.2.0.100", forwarding: "dr", allow: [] },
    realServers: [
      { host: "rs1", rip: "10.2.0.21" },
      { host: "rs2", rip: "10.2.0.22" },
    ],
  }),
  fragmentsOf({
    ...{ vip: "10.2.0.101", forwarding: "tun", allow: [] },
    realServers: [
      { host: "rs3", rip: "10.2.0.23" },
      { host: "rs4", rip: "10.3.0.24" },
    ],
  }),
  fragmentsOf({
    ...{ vip: "10.2.0.102", forwarding: "nat", allow: [] },
    realServers: [
      { host: "rs5", rip: "10.4.0.25", port: 8080 },
      { host: "rs6", rip: "10.4.0.26", port: 8080 },
    ],
  }),
];
const vips = services.map(({ vip: { vip } }) => vip);
const targets = vips.map((vip) => `${vip}:80`);

/** What stands on the directors, and what is done to it. A fault answers when it is done; who puts a host right again is not its business. */
interface Subject {
  setUp(): Promise<void>;
  killKeepalived(at: LabHost): Promise<unknown>;
  /** Null where there is no agent. */
  killAgent: ((at: LabHost) => Promise<unknown>) | null;
  /** What a person, or the host's service manager, starts again after a kill or a boot. */
  start(at: LabHost): Promise<unknown>;
  /** Moves the VIPs as an operator would. */
  move(from: Director): Promise<unknown>;
  /** Puts an emptied table back. */
  refill: ((at: LabHost) => Promise<unknown>) | null;
  /** Whether nothing is still being put right. */
  isWhole(): Promise<boolean>;
}

const labName = `bench-takeover-${process.pid}`;
const lab = await Lab.up({ name: labName });
const host = (name: string) => lab.host(name);
const client = host("client");

async function holders(): Promise<Director[]> {
  const bound = await Promise.all(directors.map(async ({ name }) => ((await holds(host(name), vips[0]!)) ? [name] : [])));
  return bound.flat();
}
const onlyHolder = async () => {
  await until("one holder", async () => (await holders()).length === 1, { deadlineMs: 60_000 });
  return (await holders())[0]!;
};

let moves = 0;
const trigonPlan = (name: Director, preferred: { nodeId: string; generation: number } | null) => {
  const own = directors.find((director) => director.name === name)!;
  const others = directors
    .filter((director) => director !== own)
    .map((one) => ({ nodeId: one.name, name: one.name, priority: one.priority, addresses: [one.address] }));
  const group = {
    ...{ id: "dg:dg_1", kind: "director.group", groupId: "dg_1", name: "pair", virtualRouterId: 51, advertMs: 100 },
    ...{ preempt: false, interface: null, peers: "unicast", priority: own.priority, addresses: [own.address] },
    ...{ others, vips: [...vips, gateway], preferred },
  };
  return [...services.flatMap(({ service, vip }) => [service, { ...vip, heldBy: "vrrp" }]), group];
};

/** Gives a running agent a plan as its link would: to start `trigon-agent apply` would keep the guest's one processor busy for a second. */
async function givePlan(at: LabHost, fragments: readonly object[]): Promise<void> {
  const { position } = (await agentStatus(at))!;
  const generation = position!.generation + 1;
  const whole = fragments.map((fragment) => {
    const hash = createHash("sha256").update(JSON.stringify(fragment)).digest("hex").slice(0, 16);
    return { ...fragment, generation, hash };
  });
  const plan = {
    ...{ protocol: agentProtocol, fleetId: "local", epoch: 1, generation, nodeId: "local" },
    since: null,
    observeOnly: false,
  };
  await at.writeFile("/run/plan.json", JSON.stringify({ ...plan, allowMassRemoval: true, fragments: whole, tombstones: [] }));
  await at.sh("curl -sf -o /dev/null --data-binary @/run/plan.json --unix-socket /var/lib/trigon/agent.sock http://agent/apply");
}

const trigon: Subject = {
  async setUp() {
    await installAgent(...directors.map(({ name }) => host(name)));
    for (const { name } of directors) {
      await applyPlan(host(name), trigonPlan(name, null));
      await startAgent(host(name));
    }
  },
  killKeepalived: (at) => at.sh("kill -9 $(cat /var/lib/trigon/vrrp/keepalived.pid /var/lib/trigon/vrrp/vrrp.pid)"),
  killAgent: (at) => at.sh("kill -9 $(grep -o '[0-9]*' /var/lib/trigon/agent.lock | head -1)"),
  start: (at) => startAgent(at),
  async move(from) {
    moves += 1;
    const preferred = { nodeId: other(from), generation: moves };
    await Promise.all(directors.map(({ name }) => givePlan(host(name), trigonPlan(name, preferred))));
  },
  refill: null,
  async isWhole() {
    const values = await Promise.all(
      directors.map(async ({ name }) => Number(await host(name).sh("cat /var/lib/trigon/vrrp/track/dg_1"))),
    );
    return values.every((value) => value >= 0) && values.includes(50);
  },
};

const handMadeTable = services
  .flatMap(({ service }) => [
    `-A -t ${service.vip}:80 -s rr`,
    ...service.destinations.map(
      ({ rip, port, forwarding }) =>
        `-a -t ${service.vip}:80 -r ${rip}:${port} ${{ dr: "-g", tun: "-i", nat: "-m", fullnat: "-m" }[forwarding]}`,
    ),
  ])
  .join("\n");
const handMadeConf = (at: (typeof directors)[number]) => `
global_defs {
  router_id ${at.name}
  vrrp_version 3
}
vrrp_instance pair {
  state BACKUP
  nopreempt
  interface eth0
  virtual_router_id 51
  priority ${at.priority}
  advert_int 0.1
  unicast_src_ip ${at.address}
  unicast_peer {
    ${directors.find((peer) => peer !== at)!.address}
  }
  virtual_ipaddress {
${[...vips.map((vip) => `${vip}/32 dev eth0`), `${gateway}/32 dev eth1`].map((line) => `    ${line}`).join("\n")}
  }
}
`;
const startByHand = async (at: LabHost) => {
  await at.writeFile("/run/table", `${handMadeTable}\n`);
  await at.writeFile("/run/pair.conf", handMadeConf(directors.find(({ name }) => name === at.name)!));
  await at.sh(
    "modprobe -q ip_vs; sysctl -qw net.ipv4.ip_forward=1; ipvsadm -Ln | grep -q :80 || ipvsadm -R </run/table; " +
      "ipvsadm -Ln --daemon | grep -q master || { ipvsadm --start-daemon master --mcast-interface eth0; ipvsadm --start-daemon backup --mcast-interface eth0; }; " +
      "keepalived --vrrp -f /run/pair.conf -p /run/kp.pid -r /run/kp-vrrp.pid",
  );
};
const byHand: Subject = {
  setUp: async () => {
    for (const { name } of directors) await startByHand(host(name));
  },
  killKeepalived: (at) => at.sh("kill -9 $(cat /run/kp.pid /run/kp-vrrp.pid)"),
  killAgent: null,
  start: startByHand,
  // As `systemctl stop keepalived` does: it says that it goes, and its peer need not wait.
  move: (from) => host(from).sh("kill $(cat /run/kp.pid); while pgrep -x keepalived >/dev/null; do sleep 0.05; done"),
  refill: (at) => at.sh("ipvsadm -R </run/table"),
  isWhole: async () =>
    (await Promise.all(directors.map(({ name }) => host(name).sh("pgrep -x keepalived || :")))).every((pids) => pids !== ""),
};
const subjects = { trigon, keepalived: byHand } as const;
type Name = keyof typeof subjects;

/** Each is done to the holder, and answers when the client's view is settled. */
const faults: Record<
  string,
  { title: string; target: string; needsAgent?: true; act(subject: Subject, from: Director): Promise<void> }
> = {
  nothing: { title: "nothing (what the prober sees at best)", target: "", act: () => sleep(1_000) },
  link: {
    ...{ title: "link cut", target: "0.5 s, 0 lost" },
    act: async (_, from) => {
      await host(from).sh("ip link set eth0 down");
      await onlyPeer(from);
      await host(from).sh("ip link set eth0 up; ip route replace default via 10.2.0.1");
    },
  },
  keepalived: {
    ...{ title: "kill -9 of keepalived", target: "0.5 s, 0 lost" },
    act: async (subject, from) => {
      await subject.killKeepalived(host(from));
      await until("the peer to take over", () => holds(host(other(from)), vips[0]!), { deadlineMs: 30_000 });
      if (!subject.killAgent) await subject.start(host(from));
      await onlyPeer(from);
    },
  },
  agent: {
    ...{ title: "kill -9 of the agent", target: "0.5 s, 0 lost" },
    needsAgent: true,
    act: async (subject, from) => {
      await subject.killAgent?.(host(from));
      await subject.start(host(from));
    },
  },
  both: {
    ...{ title: "kill -9 of both", target: "0.5 s, 0 lost" },
    needsAgent: true,
    act: async (subject, from) => {
      await subject.killAgent?.(host(from));
      await subject.killKeepalived(host(from));
      await until("the peer to take over", () => holds(host(other(from)), vips[0]!), { deadlineMs: 30_000 });
      await subject.start(host(from));
      await onlyPeer(from);
    },
  },
  emptied: {
    ...{ title: "IPVS emptied", target: "0.5 s, 0 lost" },
    act: async (subject, from) => {
      await host(from).sh("ipvsadm -C");
      if (subject.refill) {
        await sleep(byHandRepairMs);
        await subject.refill(host(from));
      }
      const isFull = async () =>
        (await host(from).sh("ipvsadm -Sn")).split("\n").filter((line) => line.startsWith("-a")).length === 6;
      await until("the table to be full again", isFull, { deadlineMs: 30_000 });
    },
  },
  move: {
    ...{ title: "planned move", target: "0.2 s, 0 lost" },
    act: async (subject, from) => {
      await subject.move(from);
      await onlyPeer(from);
      if (!subject.killAgent) await subject.start(host(from));
    },
  },
  power: {
    ...{ title: "power loss", target: "0.5 s, 0 lost" },
    act: async (_, from) => {
      // Its kernel would go on for a moment: namespaces take their time to go.
      await host(from).sh("ip link set eth0 down; ip link set eth1 down");
      await lab.rebuildHost(from);
      await onlyPeer(from);
    },
  },
  return: {
    ...{ title: "return of the first director", target: "0.2 s, 0 lost" },
    act: async (subject, from) => {
      await subject.start(host(other(from)));
      await until("all to be whole", () => subject.isWhole(), { deadlineMs: 60_000 });
    },
  },
};
/** How long an emptied table takes whoever watches over a director without an agent: a person would take longer. */
const byHandRepairMs = 2_000;
const onlyPeer = (from: Director) =>
  until("the peer to hold the VIPs alone", async () => (await holders()).join() === other(from), {
    deadlineMs: 60_000,
    everyMs: 100,
  });

interface Seen {
  gapMs: number;
  lost: number;
}
const seen = new Map<string, Seen[]>();
const chosen = option("only", Object.keys(faults).join(",")).split(",");
for (const name of chosen)
  if (!faults[name]) throw new Error(`no such fault: ${name}; there are ${Object.keys(faults).join(", ")}`);

async function under(name: string, fault: string, subject: Subject): Promise<Seen> {
  const from = await onlyHolder();
  const load = await startLoad(client, { targets, held });
  // After a power loss there is nobody yet who could know them.
  if (fault !== "return")
    await until("held connections to be known to the peer", () => areKnown(client, host(other(from)), vips, held), {
      deadlineMs: 60_000,
      everyMs: 250,
    });
  const prober = await startProber(client, targets);
  await faults[fault]!.act(subject, from);
  // A connection that is silent for three seconds is one that was lost.
  await sleep(4_500);
  const { gapMs } = await prober.stop();
  const { heldFailed, failures } = await load.stop();
  const reasons = [...new Set(failures.map(({ target, reason }) => `${target} ${reason}`))].join(", ");
  console.log(
    `${name.padEnd(10)} ${fault.padEnd(10)} gap ${String(gapMs).padStart(5)} ms, lost ${Math.min(heldFailed, held)} of ${held} ${reasons}`,
  );
  // One that is lost is opened again at once, and may be lost again.
  return { gapMs, lost: Math.min(heldFailed, held) };
}

try {
  await installAgent(host("rs3"), host("rs4"));
  const silent = "sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2";
  for (const name of ["rs1", "rs2"]) await host(name).sh(`${silent}; ip addr add ${vips[0]}/32 dev lo`);
  const tunnelled = directors.map(({ name, address }, index) => ({ nodeId: name, index: index + 1, address, mac: null }));
  for (const name of ["rs3", "rs4"]) await applyPlan(host(name), [{ ...services[1]!.realServer(name), directors: tunnelled }]);
  for (const name of ["rs5", "rs6"]) await host(name).sh(`ip route replace default via ${gateway}`);
  for (let round = 0; round < runs; round += 1) {
    for (const [name, subject] of Object.entries(subjects) as [Name, Subject][]) {
      for (const director of directors) await lab.rebuildHost(director.name, { wipe: true });
      moves = 0;
      await subject.setUp();
      for (const fault of chosen) {
        if (fault !== "return") await until("all to be whole", () => subject.isWhole(), { deadlineMs: 60_000, everyMs: 250 });
        if (faults[fault]!.needsAgent && !subject.killAgent) continue;
        const key = `${name} ${fault}`;
        seen.set(key, [...(seen.get(key) ?? []), await under(name, fault, subject)]);
      }
    }
  }
} finally {
  await lab.down();
  rmSync(stateFolder(labName), { recursive: true, force: true });
}

const cell = (name: Name, fault: string) => {
  const figures = seen.get(`${name} ${fault}`);
  if (!figures) return "–";
  const gaps = figures.map(({ gapMs }) => gapMs);
  const lost = figures.map((figure) => figure.lost);
  return `${quantile(gaps, 0.5)} (${Math.max(...gaps)}) ms, ${Math.max(...lost)} lost`;
};
report({
  title: `Takeover, ${runs} alternating rounds: the gap in new connections, median (worst), and how many of ${held} held ones were lost at worst (DR, Tunnel, NAT)`,
  rows: [
    ["fault · target", `${"Trigon".padEnd(28)} keepalived by hand (an emptied table put back after ${byHandRepairMs / 1000} s)`],
    ...chosen.map((fault) => {
      const { title, target } = faults[fault]!;
      return [
        target ? `${title} · ${target}` : title,
        `${cell("trigon", fault).padEnd(28)} ${cell("keepalived", fault)}`,
      ] as const;
    }),
  ],
  figures: Object.fromEntries(
    [...seen].flatMap(([key, figures]) => {
      const gaps = figures.map(({ gapMs }) => gapMs);
      const name = key.replace(/ (.)/, (_, letter: string) => letter.toUpperCase());
      return [
        [`${name}GapMs`, quantile(gaps, 0.5)],
        [`${name}WorstGapMs`, Math.max(...gaps)],
        [`${name}Lost`, Math.max(...figures.map(({ lost }) => lost))],
      ];
    }),
  ),
});
