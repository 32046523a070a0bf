import { type LabHost, until } from "@trigon/lab";
import { beforeAll, describe, expect, test } from "vitest";
import { agentStatus, applyPlan, fragmentsOf, installAgent, startAgent } from "./agent.ts";
import { useLab } from "./use-lab.ts";

/** From the issue: at 1,000 rules noticed within 2 s and repaired within 5 s. */
const bounds = { noticedMs: 2_000, repairedMs: 5_000 };
/**
 * Nobody tells of rules in legacy tables, and reading them starts a program: a fortieth of the time may go into it. A start that takes
 * milliseconds elsewhere takes most of a second in this guest, and its kernel has no nftables.
 */
const legacyRulesBounds = { noticedMs: 60_000, repairedMs: 65_000 };

const count = 100;
const rips = ["10.2.0.21", ...Array.from({ length: 9 }, (_, at) => `10.2.0.${150 + at}`)];
const vips = Array.from({ length: 10 }, (_, at) => `10.2.0.${100 + at}`);
/** 100 services of ten real servers on ten VIPs; the first five VIPs are DR, the others Tunnel. */
const services = Array.from({ length: count }, (_, at) =>
  fragmentsOf({
    name: `s${at}`,
    vip: vips[at % 10]!,
    port: 8000 + Math.floor(at / 10),
    forwarding: at % 10 < 5 ? "dr" : "tun",
    realServers: rips.map((rip) => ({ host: rip === rips[0] ? "rs1" : rip, rip })),
  }),
);

interface Drift {
  name: string;
  /** Whose kernel is changed by hand. */
  host: "dir1" | "rs1";
  change: string;
  /** Prints `wrong` as long as it is not as it was, by a tool that is not ours. */
  look: string;
  /** The kernel tells of it: it may be as it was before anybody can look. */
  isTold?: true;
  /** What the recorded event is about. */
  key: string;
}

const destination = `-t ${vips[0]}:8000 -r ${rips[3]}:8000`;
const destinationKey = `ipvsDestination tcp ${vips[0]} 8000 > ${rips[3]} 8000`;
const lists = (line: string) => `ipvsadm -Sn | grep -qxF -- "${line}" || echo wrong`;
const drifts: Drift[] = [
  {
    name: "a weight",
    host: "dir1",
    change: `ipvsadm -e ${destination} -g -w 9`,
    look: lists(`-a ${destination} -g -w 1`),
    key: destinationKey,
  },
  {
    name: "a threshold",
    host: "dir1",
    change: `ipvsadm -e ${destination} -g -w 1 -x 50 -y 10`,
    look: `ipvsadm -Ln --thresholds | grep -qE "${rips[3]}:8000 +50 +10 " && echo wrong || true`,
    key: destinationKey,
  },
  {
    name: "a destination",
    host: "dir1",
    change: `ipvsadm -d ${destination}`,
    look: lists(`-a ${destination} -g -w 1`),
    key: destinationKey,
  },
  {
    name: "a service's scheduler and flag",
    host: "dir1",
    change: `ipvsadm -E -t ${vips[0]}:8000 -s wlc -p 60`,
    look: lists(`-A -t ${vips[0]}:8000 -s rr`),
    key: `ipvsService tcp ${vips[0]} 8000`,
  },
  {
    name: "the VIP on lo",
    isTold: true,
    host: "rs1",
    change: `ip addr del ${vips[0]}/32 dev lo`,
    look: `ip -o addr show dev lo | grep -q " ${vips[0]}/32 " || echo wrong`,
    key: `address lo ${vips[0]}/32`,
  },
  {
    name: "arp_ignore",
    host: "rs1",
    change: "sysctl -qw net.ipv4.conf.all.arp_ignore=0",
    look: "[ $(cat /proc/sys/net/ipv4/conf/all/arp_ignore) -ge 1 ] || echo wrong",
    key: "sysctl net/ipv4/conf/all/arp_ignore",
  },
  {
    name: "a tunnel that is down",
    isTold: true,
    host: "rs1",
    change: "ip link set trg-1 down",
    look: "ip -o link show trg-1 | grep -q '[<,]UP[,>]' || echo wrong",
    key: "linkState trg-1",
  },
  {
    name: "rp_filter of the tunnel",
    host: "rs1",
    change: "sysctl -qw net.ipv4.conf.trg-1.rp_filter=1",
    look: "[ $(cat /proc/sys/net/ipv4/conf/trg-1/rp_filter) = 2 ] || echo wrong",
    key: "sysctl net/ipv4/conf/trg-1/rp_filter",
  },
  {
    name: "the jump to our rules, flushed with the chain that it stood in",
    host: "rs1",
    change: "$IPTABLES -t mangle -F OUTPUT",
    look: "$IPTABLES -t mangle -S OUTPUT | grep -q TRIGON-OUTPUT || echo wrong",
    key: "filterRule 4 mangle OUTPUT account:vs_s0",
  },
  {
    name: "rules that were flushed",
    host: "rs1",
    change:
      "$IPTABLES -t mangle -F OUTPUT; $IPTABLES -t mangle -F $($IPTABLES -t mangle -S | sed -n 's/^-N \\(TRIGON[^ ]*\\).*/\\1/ip' | head -1)",
    look: `[ $($IPTABLES -t mangle -S | grep -c "trigon:account") = ${count} ] || echo wrong`,
    key: "filterRule 4 mangle OUTPUT account:vs_s0",
  },
];

describe("drift at 1,000 rules", { timeout: 300_000 }, () => {
  const lab = useLab();
  let iptables: string;
  let pid: number;

  beforeAll(async () => {
    const [dir1, rs1] = [lab.host("dir1"), lab.host("rs1")];
    await dir1.sh("modprobe ip_vs; modprobe ip_vs_rr; modprobe ip_vs_wlc", { allowFailure: true });
    iptables = await rs1.sh("iptables -S >/dev/null 2>&1 && echo iptables || echo iptables-legacy");
    await installAgent(dir1, rs1);
    await applyPlan(
      rs1,
      services.map((service) => service.realServer("rs1")),
    );
    await applyPlan(dir1, [
      ...services.map(({ service }) => service),
      ...vips.map((vip) => ({ id: `dv:${vip}`, kind: "director.vip", vip, heldBy: "agent" })),
    ]);
    [pid] = await Promise.all([startAgent(dir1), startAgent(rs1)]);
    expect(await dir1.sh("ipvsadm -Sn | grep -c '^-a'")).toBe(String(count * rips.length));
  }, 300_000);

  const script = (text: string) => `IPTABLES=${iptables}; ${text}`;
  /** Wall-clock milliseconds, as the guest has it. */
  const clock = async (host: LabHost) => Number(await host.sh("date +%s%3N"));
  const eventOf = async (host: LabHost, key: string, after: number) => {
    const lines = (await host.readFile("/run/trigon-agent.log")).toString().split("\n").filter(Boolean);
    const events = lines.map((line) => JSON.parse(line) as { kind?: string; key?: string; at: string; msg: string });
    return events.find((event) => event.kind === "drift.repaired" && event.key === key && Date.parse(event.at) >= after);
  };

  test.each(drifts)("$name is put right in time, and it is on record what was found", async (drift) => {
    const { name, key, isTold } = drift;
    const host = lab.host(drift.host);
    expect(await host.sh(script(drift.look))).toBe("");
    let before = 0;
    let changed = 0;
    // A sweep that comes between the change and the look has put it right already: then it is made once more.
    const isSeen = async () => {
      before = await clock(host);
      const answer = await host.sh(script(`${drift.change} >&2; date +%s%3N; ${drift.look}`));
      const [changedAt = "", look = ""] = answer.split("\n");
      changed = Number(changedAt);
      return isTold || look === "wrong";
    };
    await until(`${name} to be seen`, isSeen, { deadlineMs: 20_000 });
    await until(`${name} to be put right`, async () => (await host.sh(script(drift.look))) === "", {
      deadlineMs: 90_000,
      everyMs: 20,
    });
    const repairedMs = (await clock(host)) - changed;
    const event = await until(`the event about ${key}`, () => eventOf(host, key, before), { deadlineMs: 5_000 });
    const noticedMs = Date.parse(event.at) - changed;
    console.log(`${name}: noticed after ${noticedMs} ms, seen repaired after ${repairedMs} ms: ${event.msg}`);
    const isLegacyRule = key.startsWith("filterRule ") && iptables === "iptables-legacy";
    const most = isLegacyRule ? legacyRulesBounds : bounds;
    expect(noticedMs).toBeLessThanOrEqual(most.noticedMs);
    expect(repairedMs).toBeLessThanOrEqual(most.repairedMs);
  });

  test("the bound is stated, and what it costs is little", async () => {
    const dir1 = lab.host("dir1");
    const status = (await agentStatus(dir1)) as unknown as { sweepBoundMs: number };
    expect(status.sweepBoundMs).toBeLessThanOrEqual(bounds.noticedMs);
    const ticks = async () => {
      const fields = (await dir1.sh(`cat /proc/${pid}/stat`)).split(") ")[1]!.split(" ");
      return Number(fields[11]) + Number(fields[12]);
    };
    const [began, before] = [await clock(dir1), await ticks()];
    await until("ten seconds to pass", async () => (await clock(dir1)) - began > 10_000, { deadlineMs: 30_000, everyMs: 500 });
    const share = ((await ticks()) - before) / 100 / (((await clock(dir1)) - began) / 1000);
    console.log(
      `idle at ${count * rips.length} destinations: ${(100 * share).toFixed(1)} % of a core, bound ${status.sweepBoundMs} ms`,
    );
    expect(share).toBeLessThan(0.25);
  });

  test("a table that was emptied is filled again", async () => {
    const dir1 = lab.host("dir1");
    await dir1.sh("ipvsadm -C");
    const destinations = () => dir1.sh("ipvsadm -Sn | grep -c '^-a'", { allowFailure: true });
    await until("all destinations", async () => (await destinations()) === String(count * rips.length), {
      deadlineMs: 60_000,
      everyMs: 200,
    });
  });
});
