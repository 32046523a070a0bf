import { fetchAnswers, Lab, until } from "@trigon/lab";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { agentStands, applyPlan, fragmentsOf, installAgent, ipvsTable, startAgent } from "./agent.ts";

const vip = "10.2.0.100";
const dr = fragmentsOf({ vip, forwarding: "dr", realServers: [{ host: "rs1", rip: "10.2.0.21", weight: 5 }] });
const links = (address: string) => [{ ifname: "eth0", segment: "lan", addresses: [`${address}/24`] }];

describe("ip_vs unloaded under a running agent", { timeout: 120_000 }, () => {
  /** A kernel of its own: a module is all namespaces' at once, and other hosts' services would hold it. */
  let lab: Lab;
  const dir1 = () => lab.host("dir1");

  beforeAll(async () => {
    lab = await Lab.up({
      name: `reload-${process.pid}`,
      engine: "uml",
      mem: "512M",
      withoutIpvs: true,
      topology: {
        hosts: [
          { name: "client", links: links("10.2.0.10") },
          { name: "dir1", links: links("10.2.0.11") },
          { name: "rs1", links: links("10.2.0.21"), services: [{ httpd: ["0.0.0.0:80"] }] },
        ],
      },
    });
    await installAgent(dir1(), lab.host("rs1"));
    await applyPlan(lab.host("rs1"), [dr.realServer("rs1")]);
    await applyPlan(dir1(), [dr.service, dr.vip]);
    await startAgent(dir1());
  }, 300_000);
  afterAll(() => lab?.down());

  /** Until nothing holds it: the agent may fill the table again in between. */
  const unload = `for attempt in $(seq 50); do
      ipvsadm -C
      rmmod $(lsmod | sed -n 's/^\\(ip_vs_[a-z_]*\\) .*/\\1/p') 2>/dev/null
      rmmod ip_vs 2>/dev/null && exit 0
    done; lsmod >&2; exit 1`;

  test.each([
    ["and loaded again", `(${unload}) && modprobe ip_vs`],
    ["and left out", unload],
  ])("%s: the table is as it was, and that is on record", async (_name, command) => {
    const before = await ipvsTable(dir1());
    expect(before).toEqual([`-A -t ${vip}:80 -s rr`, `-a -t ${vip}:80 -r 10.2.0.21:80 -g -w 5`]);
    const settings = () => dir1().sh("cd /proc/sys/net/ipv4/vs && grep . expire_nodest_conn expire_quiescent_template conntrack");
    const had = await settings();
    const began = Number(await dir1().sh("date +%s%3N"));
    const [unloadedAt] = (await dir1().sh(`(${command}) >&2 && date +%s%3N`, { timeoutMs: 60_000 })).split("\n");
    // A kernel without the module lists nothing; asking by ipvsadm would load it.
    const isBack = async () => (await dir1().sh("cat /proc/net/ip_vs", { allowFailure: true })).includes("0A020015:0050");
    await until("the real server in the kernel", isBack, { deadlineMs: 30_000, everyMs: 50 });
    await agentStands(dir1());
    expect(await ipvsTable(dir1())).toEqual(before);
    // Settings may take one more look: they came anew with the module.
    await until("the settings", async () => (await settings()) === had, { deadlineMs: 5_000, everyMs: 50 });
    const answers = await fetchAnswers(lab.host("client"), `${vip}:80`, { count: 3 });
    expect(answers.map(({ server }) => server)).toEqual(["rs1", "rs1", "rs1"]);
    const lines = (await dir1().readFile("/run/trigon-agent.log")).toString().split("\n").filter(Boolean);
    const events = lines.map((line) => JSON.parse(line) as { kind?: string; key?: string; at: string; msg: string });
    const found = events.filter(({ kind, at }) => kind?.startsWith("drift.") && Date.parse(at) >= began);
    const about = (key: string) => found.find((event) => event.key === key);
    const service = about(`ipvsService tcp ${vip} 80`);
    expect(service?.msg).toContain("was removed from outside");
    // A look between the two removals misses the scheduler only, and its return brings ip_vs along.
    expect((about("module ip_vs") ?? about("module ip_vs_rr"))?.msg).toContain("was removed from outside, and was put right");
    const noticedMs = Date.parse(service!.at) - Number(unloadedAt);
    console.log(`ip_vs unloaded: noticed ${noticedMs} ms after; on record: ${found.map(({ msg }) => msg).join("; ")}`);
    expect(noticedMs).toBeLessThanOrEqual(2_000);
  });
});
