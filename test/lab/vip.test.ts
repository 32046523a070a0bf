import { capture, fetchAnswers, until } from "@trigon/lab";
import { beforeAll, describe, expect, test } from "vitest";
import { applyPlan, fragmentsOf, installAgent } from "./agent.ts";
import { rules } from "./guards/guards.ts";
import { useLab } from "./use-lab.ts";

const vip = "10.2.0.100";

describe("what a VIP answers", { timeout: 120_000 }, () => {
  const lab = useLab();
  const service = (ping: boolean, allow: string[]) =>
    fragmentsOf({ vip, forwarding: "dr", realServers: [{ host: "rs1", rip: "10.2.0.21" }], allow, ping });
  const apply = async (ping: boolean, allow: string[]) => {
    const { service: own, vip: address, realServer } = service(ping, allow);
    await applyPlan(lab.host("rs1"), [realServer("rs1")]);
    await applyPlan(lab.host("dir1"), [own, address]);
  };
  const answered = async (host: string) => (await fetchAnswers(lab.host(host), `${vip}:80`, { timeoutSeconds: 1 })).length;
  const pings = async () => (await lab.host("client").exec(["ping", "-c", "1", "-W", "2", vip])).code === 0;

  beforeAll(async () => {
    await installAgent(lab.host("dir1"), lab.host("rs1"));
  }, 300_000);

  test("everyone's requests and echo requests, when nothing else is asked for", async () => {
    await apply(true, []);
    expect([await answered("client"), await answered("router"), await pings()]).toEqual([1, 1, true]);
  });

  test("no echo request, when it shall not", async () => {
    await apply(false, []);
    expect([await answered("client"), await pings()]).toEqual([1, false]);
  });

  test("clients behind the hosts' own firewalls, when rules are to be managed", async () => {
    const drop = `! -i lo -d ${vip} -p tcp -j DROP`;
    const hosts = [lab.host("dir1"), lab.host("rs1")];
    for (const host of hosts) await host.sh(rules(`-A INPUT ${drop}`));
    try {
      await apply(true, []);
      expect(await answered("client")).toBe(0);
      const { service: own, vip: address, realServer } = service(true, []);
      await applyPlan(hosts[1]!, [{ ...realServer("rs1"), managesFirewall: true }]);
      await applyPlan(hosts[0]!, [{ ...own, managesFirewall: true }, address]);
      expect(await answered("client")).toBe(1);
      await apply(true, []);
      expect(await answered("client")).toBe(0);
    } finally {
      for (const host of hosts) await host.sh(rules(`-D INPUT ${drop}`));
    }
  });

  test("also the last packets of a connection, behind a firewall that drops what is INVALID first", async () => {
    // A director sees one direction of DR only, so that its tracking takes a FIN for one of no connection.
    const dropsFirst = "INPUT -m conntrack --ctstate INVALID -j DROP";
    const [director, realServer] = [lab.host("dir1"), lab.host("rs1")];
    const fragments = service(true, []);
    const dropped = async () => {
      const listed = await director.sh("iptables-nft -vnxL INPUT; iptables-legacy -vnxL INPUT", { allowFailure: true });
      return Number(/^\s*(\d+) .*DROP .*INVALID/m.exec(listed)?.[1] ?? Number.NaN);
    };
    await applyPlan(realServer, [fragments.realServer("rs1")]);
    await director.sh(rules(`-A ${dropsFirst}`));
    try {
      await applyPlan(director, [fragments.service, fragments.vip]);
      expect(await answered("client")).toBe(1);
      await until("the FIN to be dropped", async () => (await dropped()) > 0);

      await applyPlan(director, [{ ...fragments.service, managesFirewall: true }, fragments.vip]);
      const ends = await capture(realServer, `tcp and dst host ${vip} and tcp[tcpflags] & tcp-fin != 0`, "eth0");
      const before = await dropped();
      expect(await answered("client")).toBe(1);
      await ends.waitFor(/ > /);
      await ends.stop();
      expect(await dropped()).toBe(before);
    } finally {
      await director.sh(rules(`-D ${dropsFirst}`));
    }
  });

  test("only the networks that are allowed, at once", async () => {
    await apply(true, ["10.1.0.0/24"]);
    expect([await answered("client"), await answered("router")]).toEqual([1, 0]);
    await apply(true, ["10.2.0.0/24"]);
    expect([await answered("client"), await answered("router")]).toEqual([0, 1]);
  });
});
