import { capture, fetchAnswers, startHttpd, until } from "@trigon/lab";
import { HealthCheck, HealthSpec } from "@trigon/model";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { applyPlan, fragmentsOf, installAgent, ipvsTable, startAgent } from "./agent.ts";
import { useLab } from "./use-lab.ts";

const director = "10.2.0.11";
const rips = { rs1: "10.2.0.21", rs2: "10.2.0.22", rs3: "10.2.0.23", rs4: "10.3.0.24" } as const;
type Name = keyof typeof rips;
/** Each with a server on the VIP alone, one on the RIP alone (or none), and one that listens everywhere. */
const services = {
  dr: { vip: "10.2.0.100", names: ["rs1", "rs2", "rs3"] },
  tun: { vip: "10.2.0.101", names: ["rs3", "rs4"] },
} as const;
type Way = keyof typeof services;
const timing = { intervalMs: 500, fastIntervalMs: 300, timeoutMs: 300 };

describe("checks of the VIP through each real server", { timeout: 240_000 }, () => {
  const lab = useLab();
  const dir1 = () => lab.host("dir1");
  const shapeOf = (way: Way) =>
    fragmentsOf({
      vip: services[way].vip,
      forwarding: way,
      realServers: services[way].names.map((host) => ({ host, rip: rips[host] })),
    });

  /** All services are checked in this way from now on. */
  async function checkAs(check: object): Promise<void> {
    const health = { ...HealthSpec.parse({}), check: HealthCheck.parse({ ...timing, ...check }) };
    const fragments = (Object.keys(services) as Way[]).map(shapeOf).flatMap(({ service, vip }) => {
      return [{ ...service, provesPaths: true, health }, vip];
    });
    await applyPlan(dir1(), fragments);
  }

  beforeAll(async () => {
    const names = Object.keys(rips) as Name[];
    await installAgent(dir1(), ...names.map((name) => lab.host(name)));
    for (const name of names) {
      const ways = (Object.keys(services) as Way[]).filter((way) => (services[way].names as readonly string[]).includes(name));
      await applyPlan(
        lab.host(name),
        ways.map((way) => ({ ...shapeOf(way).realServer(name), probedFrom: [director] })),
      );
    }
    for (const name of ["rs1", "rs2", "rs4"] as const) await killHttpd(name);
    await startHttpd(lab, "rs1", `${services.dr.vip}:80`);
    await startHttpd(lab, "rs2", `${rips.rs2}:80`);
    await startHttpd(lab, "rs4", `${services.tun.vip}:80`);
    await checkAs({ kind: "http", target: "rip" });
    await startAgent(dir1());
  }, 300_000);

  // Other files count on the web servers as the lab starts them.
  afterAll(async () => {
    for (const name of ["rs1", "rs2", "rs4"]) await lab.rebuildHost(name, { wipe: true });
  });

  // The brackets keep the shell, whose words these are, out of it.
  const killHttpd = (name: Name) => lab.host(name).sh("kill $(pgrep -f '[h]ttpd.py')");

  /** `rs1=1 rs2=0`, by ipvsadm. */
  async function weights(way: Way): Promise<string> {
    const { vip, names } = services[way];
    const lines = (await ipvsTable(dir1())).filter((line) => line.startsWith(`-a -t ${vip}:80 `));
    return names
      .map((name) => `${name}=${/-w (\d+)/.exec(lines.find((line) => line.includes(` -r ${rips[name]}:80 `)) ?? "")?.[1]}`)
      .join(" ");
  }
  const becomes = (way: Way, expected: string) =>
    until(`${way} to be ${expected}`, async () => (await weights(way)) === expected, { deadlineMs: 30_000, everyMs: 50 });
  const answers = async (way: Way) => {
    const found = await fetchAnswers(lab.host("client"), `${services[way].vip}:80`, { count: 6, timeoutSeconds: 1 });
    return { count: found.length, servers: [...new Set(found.map(({ server }) => server))].sort() };
  };

  test.each(["tcp", "http"] as const)("%s: who listens on one of the two addresses only is told apart", async (kind) => {
    await checkAs({ kind, target: "rip" });
    await becomes("dr", "rs1=0 rs2=1 rs3=1");
    await becomes("tun", "rs3=1 rs4=0");
    // What that check cannot see: rs2 passes it, and no client of the VIP is answered there.
    expect((await answers("dr")).count).toBeLessThan(6);

    const heard = await capture(lab.host("rs1"), `tcp and src host ${director} and tcp[tcpflags] & tcp-syn != 0`, "eth0");
    await checkAs({ kind, target: "vip" });
    await becomes("dr", "rs1=1 rs2=0 rs3=1");
    await becomes("tun", "rs3=1 rs4=1");
    expect(await answers("dr")).toEqual({ count: 6, servers: ["rs1", "rs3"] });
    expect(await answers("tun")).toEqual({ count: 6, servers: ["rs3", "rs4"] });
    await heard.waitFor(new RegExp(`${director}\\.65\\d+ > ${services.dr.vip}\\.80:`));
    await heard.stop();
  });

  test("a server that leaves the VIP goes out by it, and comes back", async () => {
    await checkAs({ kind: "tcp", target: "vip" });
    await becomes("dr", "rs1=1 rs2=0 rs3=1");
    await killHttpd("rs1");
    await becomes("dr", "rs1=0 rs2=0 rs3=1");
    await startHttpd(lab, "rs1", `${services.dr.vip}:80`);
    await becomes("dr", "rs1=1 rs2=0 rs3=1");
  });
});
