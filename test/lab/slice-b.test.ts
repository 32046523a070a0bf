import { arpHolders, capture, differences, fetchAnswers, type Snapshot, snapshot, startLoad, until } from "@trigon/lab";
import { beforeAll, describe, expect, test } from "vitest";
import { agentStands, agentStatus, applyPlan, fragmentsOf, holds, installAgent, ipvsTable, macOf, startAgent } from "./agent.ts";
import { useLab } from "./use-lab.ts";

const tun = fragmentsOf({
  vip: "10.2.0.101",
  forwarding: "tun",
  realServers: [
    { host: "rs3", rip: "10.2.0.23" },
    { host: "rs4", rip: "10.3.0.24" },
  ],
});
const behind = [
  { host: "rs5", rip: "10.4.0.25", port: 8080 },
  { host: "rs6", rip: "10.4.0.26", port: 8080 },
];
const nat = fragmentsOf({ vip: "10.2.0.102", forwarding: "nat", realServers: behind });
const fullnat = fragmentsOf({
  vip: "10.2.0.103",
  forwarding: "fullnat",
  snatSource: "dip",
  realServers: [
    { host: "rs1", rip: "10.2.0.21" },
    { host: "rs2", rip: "10.2.0.22" },
  ],
});
const fullnatByVip = fragmentsOf({ vip: "10.2.0.104", forwarding: "fullnat", snatSource: "vip", realServers: behind });
const dr = fragmentsOf({
  vip: "10.2.0.100",
  forwarding: "dr",
  realServers: [
    { host: "rs1", rip: "10.2.0.21" },
    { host: "rs2", rip: "10.2.0.22" },
  ],
});
// A director with full NAT tracks connections; DR and Tunnel must not be tracked there.
const untracked = <T extends object>(service: T) => ({ ...service, notrack: true });
const director = [
  ...[untracked(dr.service), untracked(tun.service), nat.service, fullnat.service, fullnatByVip.service],
  ...[dr, tun, nat, fullnat, fullnatByVip].map(({ vip }) => vip),
];
const realServers = { rs1: dr, rs2: dr, rs3: tun, rs4: tun };

/** The fallback devices of IPv6 tunnels get a random permanent address at each boot, and two of the nodes were booted again. */
function withoutRandom(state: Snapshot): Snapshot {
  const links = Object.entries(state.links).map(([name, link]) => [name, { ...(link as object), permaddr: undefined }]);
  return { ...state, links: Object.fromEntries(links) };
}

describe("all four forwardings from plan files", { timeout: 300_000 }, () => {
  const lab = useLab();
  const nodes = ["dir1", "rs1", "rs2", "rs3", "rs4"] as const;
  const found = new Map<string, Snapshot>();
  const ask = (vip: string, count = 6) => fetchAnswers(lab.host("client"), `${vip}:80`, { count });
  const servers = (answers: { server: string }[]) => [...new Set(answers.map(({ server }) => server))].sort();

  beforeAll(async () => {
    // Modules, and the devices and sysctls that come with them, stay by design: they are there before the snapshot.
    await lab.host("dir1").sh("modprobe -a ip_vs ip_vs_rr ip_vs_wrr nf_conntrack xt_ipvs ipip; true", { allowFailure: true });
    for (const node of nodes) found.set(node, await snapshot(lab.host(node)));
    await installAgent(...nodes.map((node) => lab.host(node)));
    await Promise.all(
      Object.entries(realServers).map(([node, service]) => applyPlan(lab.host(node), [service.realServer(node)])),
    );
    await applyPlan(lab.host("dir1"), director);
  }, 300_000);

  test("Tunnel reaches a real server on another subnet, with the client's address intact", async () => {
    const answers = await ask("10.2.0.101");
    expect(answers).toHaveLength(6);
    expect(servers(answers)).toEqual(["rs3", "rs4"]);
    for (const { src, dst } of answers) expect({ src, dst }).toEqual({ src: "10.1.0.10", dst: "10.2.0.101:80" });
    expect(await lab.host("rs4").sh("cat /sys/class/net/tunl0/operstate")).toBe("down");
  });

  test("a tunnel's replies pass the director by", async () => {
    const atDirector = await capture(lab.host("dir1"), "tcp and src host 10.2.0.101", "any");
    const atServer = await capture(lab.host("rs4"), "tcp and src host 10.2.0.101 and src port 80", "eth0");
    await ask("10.2.0.101", 4);
    await atServer.waitFor(/10\.2\.0\.101\.80 >/);
    await atServer.stop();
    expect(await atDirector.stop()).toEqual([]);
  });

  test("NAT maps VIP:80 to RIP:8080 and the real servers see the client", async () => {
    const answers = await ask("10.2.0.102");
    expect(servers(answers)).toEqual(["rs5", "rs6"]);
    for (const { src, dst } of answers) {
      expect(src).toBe("10.1.0.10");
      expect(dst).toMatch(/^10\.4\.0\.2[56]:8080$/);
    }
  });

  test("full NAT shows the real servers the balancer's address: its own, or the VIP", async () => {
    const own = await ask("10.2.0.103");
    expect(servers(own)).toEqual(["rs1", "rs2"]);
    for (const { src, dst } of own) {
      expect(src).toBe("10.2.0.11");
      expect(dst).toMatch(/^10\.2\.0\.2[12]:80$/);
    }
    const vip = await ask("10.2.0.104");
    expect(servers(vip)).toEqual(["rs5", "rs6"]);
    for (const { src } of vip) expect(src).toBe("10.2.0.104");
  });

  test("DR works beside full NAT, and one MAC answers for each VIP", async () => {
    const answers = await ask("10.2.0.100");
    expect(servers(answers)).toEqual(["rs1", "rs2"]);
    for (const { src } of answers) expect(src).toBe("10.1.0.10");
    const mac = await macOf(lab, "dir1");
    for (const last of [100, 101, 102, 103, 104])
      expect(await arpHolders(lab.host("router"), "eth1", `10.2.0.${last}`, { seconds: 0.3 })).toEqual([mac]);
  });

  test("kill -9 of the agent disturbs no connection, and what drifted and changed meanwhile is right after its restart", async () => {
    const host = lab.host("dir1");
    const pid = await startAgent(host);
    await host.sh("trigon-agent status");
    const targets = [100, 101, 102, 103].map((last) => `10.2.0.${last}:80`);
    const load = await startLoad(lab.host("client"), { targets, rate: 100, held: 8 });
    await host.sh(`kill -9 ${pid}`);
    await host.sh("ipvsadm -e -t 10.2.0.100:80 -r 10.2.0.21:80 -g -w 7; sysctl -qw net.ipv4.vs.expire_nodest_conn=1");
    await startAgent(host);
    const drifted = async () => (await ipvsTable(host)).includes("-a -t 10.2.0.100:80 -r 10.2.0.21:80 -g -w 7");
    await until("the drift to be put right", async () => !(await drifted()), { deadlineMs: 60_000 });
    expect(await host.sh("sysctl -n net.ipv4.vs.expire_nodest_conn")).toBe("0");
    const { failed, heldFailed, ok } = await load.stop();
    expect({ failed, heldFailed }).toEqual({ failed: 0, heldFailed: 0 });
    expect(ok).toBeGreaterThan(100);
  });

  test("the running agent repairs a deleted VIP and a deleted service, and takes a new plan", async () => {
    const host = lab.host("dir1");
    await host.sh("ip addr del 10.2.0.100/32 dev eth0; ipvsadm -D -t 10.2.0.102:80");
    await until("the VIP to be back", () => holds(host, "10.2.0.100"), { deadlineMs: 60_000 });
    const hasService = async () => (await ipvsTable(host)).includes("-A -t 10.2.0.102:80 -s rr");
    await until("the service to be back", hasService, { deadlineMs: 60_000 });
    const { service } = fragmentsOf({ vip: "10.2.0.102", forwarding: "nat", realServers: behind.slice(0, 1) });
    await applyPlan(host, [...director.filter(({ id }) => id !== service.id), service]);
    expect((await ipvsTable(host)).filter((line) => line.includes("10.2.0.102"))).toEqual([
      "-A -t 10.2.0.102:80 -s rr",
      "-a -t 10.2.0.102:80 -r 10.4.0.25:8080 -m -w 1",
    ]);
    expect((await agentStatus(host))?.running).toBe(true);
  });

  test("after a power cut each node comes back from its cached plan, with no controller", async () => {
    for (const node of ["dir1", "rs4"]) {
      const host = lab.host(node);
      await host.sh(
        "mkdir -p /etc/systemd/system && cp /opt/trigon/share/trigon-agent.service /etc/systemd/system/ && systemctl daemon-reload && systemctl enable trigon-agent",
      );
      await lab.rebuildHost(node);
      await agentStands(host);
    }
    expect(await holds(lab.host("dir1"), "10.2.0.101")).toBe(true);
    // The web server of a host that was just booted may come up after its agent.
    const answering = async () => servers(await ask("10.2.0.101")).join() === "rs3,rs4";
    await until("both Tunnel real servers to answer", answering, { deadlineMs: 60_000 });
    expect(servers(await ask("10.2.0.103"))).toEqual(["rs1", "rs2"]);
  });

  test("uninstall leaves every node as found", async () => {
    for (const node of nodes) {
      await lab.host(node).sh("trigon-agent uninstall", { timeoutMs: 120_000 });
      expect(differences(withoutRandom(found.get(node)!), withoutRandom(await snapshot(lab.host(node))))).toEqual([]);
    }
  });
});
