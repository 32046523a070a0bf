import { arpHolders, capture, fetchAnswers, type LabHost, until } from "@trigon/lab";
import { beforeAll, describe, expect, test } from "vitest";
import { agentStands, applyPlan, fragmentsOf, installAgent, macOf, startAgent } from "./agent.ts";
import { useLab } from "./use-lab.ts";

const vips = { dr: "10.2.0.100", tun: "10.2.0.101", nat: "10.2.0.102" };
const vip6 = "2001:db8:2::100";
const rs1 = [{ host: "rs1", rip: "10.2.0.21" }];
const services = {
  dr: fragmentsOf({ vip: vips.dr, forwarding: "dr", realServers: rs1 }),
  tun: fragmentsOf({ vip: vips.tun, forwarding: "tun", realServers: rs1 }),
  nat: fragmentsOf({ vip: vips.nat, forwarding: "nat", realServers: [{ host: "rs5", rip: "10.4.0.25", port: 8080 }] }),
};
const defaultRoute = "ip route replace default via 10.2.0.1";

describe("what a machine's own management does to it", { timeout: 240_000 }, () => {
  const lab = useLab();

  beforeAll(async () => {
    const [dir1, real] = [lab.host("dir1"), lab.host("rs1")];
    await installAgent(dir1, real);
    await dir1.sh("ip -6 addr add 2001:db8:2::11/64 dev eth0 nodad");
    await applyPlan(real, [services.dr.realServer("rs1"), services.tun.realServer("rs1")]);
    const own = Object.values(services).flatMap(({ service, vip }) => [service, vip]);
    await applyPlan(dir1, [...own, { ...services.dr.vip, id: `dv:${vip6}`, vip: vip6 }]);
    await Promise.all([startAgent(dir1), startAgent(real)]);
    await everyoneAnswers();
  }, 300_000);

  async function everyoneAnswers(): Promise<void> {
    for (const vip of Object.values(vips)) {
      const expected = vip === vips.nat ? "rs5" : "rs1";
      const answers = async () => fetchAnswers(lab.host("client"), `${vip}:80`, { count: 3, timeoutSeconds: 1 });
      const isServed = async () => (await answers()).filter(({ server }) => server === expected).length === 3;
      await until(`${expected} to answer for ${vip}`, isServed, { deadlineMs: 60_000, everyMs: 100 });
    }
  }

  interface Recorded {
    kind?: string;
    key?: string;
    at: string;
    msg: string;
  }
  /** What the agent has put on record since then, by what it is about. */
  async function recorded(host: LabHost, since: number): Promise<Map<string, Recorded>> {
    const lines = (await host.readFile("/run/trigon-agent.log")).toString().split("\n").filter(Boolean);
    const events = lines.map((line) => JSON.parse(line) as Recorded);
    return new Map(events.flatMap((one) => (one.key && Date.parse(one.at) >= since ? [[`${one.kind} ${one.key}`, one]] : [])));
  }
  const clock = async (host: LabHost) => Number(await host.sh("date +%s%3N"));

  test.each([
    ["dir1", { "net/ipv4/ip_forward": ["0", /^1$/] }],
    [
      "rs1",
      {
        "net/ipv4/conf/all/arp_ignore": ["0", /^[1-9]$/],
        "net/ipv4/conf/all/arp_announce": ["0", /^2$/],
        "net/ipv4/conf/trg-1/rp_filter": ["1", /^[02]$/],
      },
    ],
  ] as const)("sysctl --system with a conflicting file on %s: put right, and on record what was found", async (name, wanted) => {
    const host = lab.host(name);
    const settings = Object.entries(wanted).map(([path, [conflicting, right]]) => ({ path, conflicting, right }));
    const value = (path: string) => host.sh(`cat /proc/sys/${path}`);
    for (const { path, right } of settings) expect(await value(path)).toMatch(right);
    // As hardening guides have it: strict reverse paths on every interface there is, and nothing is forwarded.
    const file = [
      ...settings.map(({ path, conflicting }) => `${path} = ${conflicting}`),
      ...(await host.sh("ls /proc/sys/net/ipv4/conf")).split("\n").map((one) => `net/ipv4/conf/${one}/rp_filter = 1`),
    ];
    await host.writeFile("/etc/sysctl.d/99-hardening.conf", `${file.join("\n")}\n`);
    const before = await clock(host);
    expect(await host.sh("sysctl --system 2>&1")).toContain("99-hardening.conf");
    const after = await clock(host);
    for (const { path, conflicting, right } of settings) {
      await until(`${path} to be right`, async () => right.test(await value(path)), { deadlineMs: 10_000, everyMs: 20 });
      const key = `drift.repaired sysctl ${path}`;
      const event = await until(`a record of ${path}`, async () => (await recorded(host, before)).get(key), {
        deadlineMs: 5_000,
      });
      console.log(`${path}: noticed ${Date.parse(event.at) - after} ms after sysctl ended: ${event.msg}`);
      expect(event.msg).toMatch(new RegExp(`found: [^)]*= ${conflicting}\\)`));
      expect(Date.parse(event.at) - after).toBeLessThanOrEqual(2_000);
    }
    await everyoneAnswers();
    const macs = { dir1: await macOf(lab, "dir1") };
    for (const vip of Object.values(vips)) expect(await arpHolders(lab.host("router"), "eth1", vip)).toEqual([macs.dir1]);
    await host.sh("rm /etc/sysctl.d/99-hardening.conf");
  });

  test("a director's link that went down and up: VIPs are there, and announced again", async () => {
    const dir1 = lab.host("dir1");
    const before = await clock(dir1);
    const heard = await capture(lab.host("router"), "arp or icmp6", "eth1");
    const mac = await macOf(lab, "dir1");
    // Its own network manager brings back what is the machine's: its routes and addresses.
    await dir1.sh(
      `ip link set eth0 down && ip link set eth0 up && ${defaultRoute}; ip -6 addr replace 2001:db8:2::11/64 dev eth0 nodad`,
    );
    for (const vip of Object.values(vips))
      await heard.waitFor(new RegExp(`${mac} .*Request who-has ${vip}.* tell ${vip},`), 20_000);
    await until("the IPv6 VIP", async () => (await dir1.sh("ip -6 -o addr show dev eth0")).includes(` ${vip6}/`), {
      deadlineMs: 20_000,
    });
    await heard.stop();
    await agentStands(dir1);
    await everyoneAnswers();
    const events = await recorded(dir1, before);
    console.log(events.get("drift.repaired link eth0")?.msg);
    expect(events.get("drift.repaired link eth0")?.msg).toMatch(/eth0 .*down/);
    expect([...events.keys()]).toContain(`drift.repaired address eth0 ${vip6}/128`);
  });

  test("a real server's link that went down and up: it serves again", async () => {
    const host = lab.host("rs1");
    await host.sh(`ip link set eth0 down && ip link set eth0 up && ${defaultRoute}`);
    await everyoneAnswers();
    await agentStands(host);
    expect(await arpHolders(lab.host("router"), "eth1", vips.dr)).toEqual([await macOf(lab, "dir1")]);
  });
});
