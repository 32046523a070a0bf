import { capture, until } from "@trigon/lab";
import { beforeAll, describe, expect, test } from "vitest";
import { applyPlan, fragmentsOf, installAgent, macOf, startAgent } from "./agent.ts";
import { useLab } from "./use-lab.ts";

const vip = "10.2.0.100";
const vip6 = "2001:db8:2::100";

/** From the issue: found by a timer; a round takes 30 s. */
const deadline = { deadlineMs: 60_000, everyMs: 1_000 };

describe("a VIP that somebody else holds too", { timeout: 180_000 }, () => {
  const lab = useLab();

  beforeAll(async () => {
    const dir1 = lab.host("dir1");
    await installAgent(dir1);
    // Every machine has it; a lab host's own /dev does not.
    await dir1.sh("[ -e /dev/kmsg ] || mknod /dev/kmsg c 1 11");
    await dir1.sh("ip -6 addr add 2001:db8:2::11/64 dev eth0 nodad");
    await lab.host("rs1").sh("ip -6 addr add 2001:db8:2::21/64 dev eth0 nodad");
    const four = fragmentsOf({ vip, forwarding: "dr", realServers: [{ host: "rs1", rip: "10.2.0.21" }] });
    const six = { ...four.vip, id: `dv:${vip6}`, vip: vip6 };
    await applyPlan(dir1, [four.service, four.vip, six]);
    await startAgent(dir1);
  }, 300_000);

  const findings = async () => {
    const answer = await lab.host("dir1").sh("curl -s -X POST --unix-socket /var/lib/trigon/agent.sock http://agent/doctor");
    const report = JSON.parse(answer) as { findings: { check: string; subject: string; observed: string; state: string }[] };
    return report.findings.filter(({ check }) => check === "duplicateVip");
  };

  test.each([
    { name: "IPv4", address: vip, prefix: 32 },
    { name: "IPv6", address: vip6, prefix: 128 },
  ])("is found with its MAC ($name), and so is that it went", async ({ address, prefix }) => {
    const rs1 = lab.host("rs1");
    await until("no finding", async () => (await findings()).length === 0, deadline);
    const mac = await macOf(lab, "rs1");
    const heard = await capture(lab.host("dir1"), `(arp or icmp6) and ether src ${mac}`, "eth0");
    await rs1.sh(`ip addr add ${address}/${prefix} dev eth0 nodad`);
    // What the wire says: it answers for the VIP.
    await heard.waitFor(
      new RegExp(`Reply ${address} is-at ${mac}|neighbor advertisement, tgt is ${address}`),
      deadline.deadlineMs,
    );
    await heard.stop();
    const found = await until("the finding", async () => (await findings())[0], deadline);
    expect(found).toMatchObject({ subject: address, state: "fail", observed: `held by ${mac} too` });
    const log = (await lab.host("dir1").readFile("/run/trigon-agent.log")).toString();
    expect(log).toContain(`${address} is held by ${mac} too`);
    await rs1.sh(`ip addr del ${address}/${prefix} dev eth0`);
    await until("the finding to go", async () => (await findings()).length === 0, { ...deadline, deadlineMs: 120_000 });
  });
});
