import { fetchAnswers, type LabHost, until } from "@trigon/lab";
import type { DoctorReport } from "@trigon/model";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { applyPlan, fragmentsOf, installAgent } from "./agent.ts";
import { useLab } from "./use-lab.ts";

const tun = fragmentsOf({ vip: "10.2.0.101", forwarding: "tun", realServers: [{ host: "rs4", rip: "10.3.0.24" }] });
const nat = fragmentsOf({ vip: "10.2.0.102", forwarding: "nat", realServers: [{ host: "rs5", rip: "10.4.0.25", port: 8080 }] });

describe("doctor says what would lose traffic, and traffic agrees", { timeout: 300_000 }, () => {
  const lab = useLab();
  const host = (name: string) => lab.host(name);
  /** Whether a client gets an answer from the VIP within two seconds. */
  const isServed = async (vip: string) =>
    (await host("client").sh(`curl -s -o /dev/null -m 2 -w '%{http_code}' http://${vip}/ || true`)).trim() === "200";

  async function doctor(node: LabHost): Promise<string[]> {
    const report = JSON.parse(await node.sh("trigon-agent doctor --json || true", { timeoutMs: 60_000 })) as DoctorReport;
    return report.findings.flatMap(({ check, subject, state }) => (state === "ok" ? [] : [`${state} ${check} ${subject}`]));
  }
  /** With a fault in place doctor names it and the client is not served; without it neither. */
  async function expectFault(name: string, vip: string, finding: string, make: string, undo: string): Promise<void> {
    expect(await doctor(host(name))).not.toContain(finding);
    expect(await isServed(vip)).toBe(true);
    await host(name).sh(make);
    try {
      expect(await doctor(host(name))).toContain(finding);
      expect(await isServed(vip)).toBe(false);
    } finally {
      await host(name).sh(undo);
    }
    expect(await doctor(host(name))).not.toContain(finding);
    expect(await isServed(vip)).toBe(true);
  }
  let device = "";

  beforeAll(async () => {
    await installAgent(host("dir1"), host("rs4"));
    await applyPlan(host("rs4"), [tun.realServer("rs4")]);
    await applyPlan(host("dir1"), [tun.service, tun.vip, nat.service, nat.vip]);
    await fetchAnswers(host("client"), "10.2.0.101:80", { count: 1 });
    await fetchAnswers(host("client"), "10.2.0.102:80", { count: 1 });
    const links = await host("rs4").json<{ ifname: string }[]>(["ip", "-j", "link"]);
    device = links.find(({ ifname }) => ifname.startsWith("trg-"))!.ifname;
  }, 300_000);
  afterAll(async () => {
    for (const name of ["dir1", "rs4"]) await host(name).sh("trigon-agent uninstall", { timeoutMs: 120_000 });
  });

  test("a real server's firewall that drops tunnels", () =>
    expectFault(
      "rs4",
      "10.2.0.101",
      "fail firewall INPUT IPIP 10.2.0.11",
      "iptables-legacy -A INPUT -p 4 -j DROP",
      "iptables-legacy -D INPUT -p 4 -j DROP",
    ));

  test("a director's firewall that lets in ssh only", () =>
    expectFault(
      "dir1",
      "10.2.0.102",
      "fail firewall INPUT 10.2.0.102:80/tcp",
      "iptables-legacy -A INPUT -p tcp --dport 22 -j ACCEPT && iptables-legacy -A INPUT -p tcp -j DROP",
      "iptables-legacy -D INPUT -p tcp --dport 22 -j ACCEPT && iptables-legacy -D INPUT -p tcp -j DROP",
    ));

  test("a director that forwards nothing, under NAT", () =>
    expectFault(
      "dir1",
      "10.2.0.102",
      "fail firewall FORWARD 10.4.0.25/tcp",
      "iptables-legacy -P FORWARD DROP",
      "iptables-legacy -P FORWARD ACCEPT",
    ));

  test("a director that does not forward at all", () =>
    expectFault(
      "dir1",
      "10.2.0.102",
      "fail forwarding net.ipv4.ip_forward",
      "sysctl -qw net.ipv4.ip_forward=0",
      "sysctl -qw net.ipv4.ip_forward=1",
    ));

  test("a strict reverse path filter on the tunnel", () =>
    expectFault(
      "rs4",
      "10.2.0.101",
      `fail reversePath ${device}`,
      `cp /proc/sys/net/ipv4/conf/all/rp_filter /run/rp_all; sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.${device}.rp_filter=1`,
      `sysctl -qw net.ipv4.conf.all.rp_filter=$(cat /run/rp_all) net.ipv4.conf.${device}.rp_filter=2`,
    ));

  test("keepalived beside us, and a service that somebody else made", async () => {
    await host("dir1").sh("ipvsadm -A -t 192.0.2.99:99 -s rr; cp /bin/sleep /run/keepalived");
    const pid = await host("dir1").detach(["/run/keepalived", "300"], { log: "/run/keepalived.log" });
    try {
      await until("keepalived to run", async () => (await host("dir1").sh(`cat /proc/${pid}/comm`)).trim() === "keepalived");
      const findings = await doctor(host("dir1"));
      expect(findings).toContain("warn manager keepalived");
      expect(findings).toContain("warn foreignService -A -t 192.0.2.99:99 -s rr");
    } finally {
      await host("dir1").sh(`kill ${pid}; ipvsadm -D -t 192.0.2.99:99; rm -f /run/keepalived /run/keepalived.log`);
    }
    expect(await doctor(host("dir1"))).not.toContain("warn manager keepalived");
  });
});
