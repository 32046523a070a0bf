import { until } from "@trigon/lab";
import { type ArrivalReport, HealthSpec, type PathReport } from "@trigon/model";
import { judgePath, type PathVerdict } from "@trigon/planner";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { applyPlan, fragmentsOf, installAgent, startAgent } from "../agent.ts";
import { useLab } from "../use-lab.ts";
import { holdAgent, pathsOf } from "./agents.ts";
import { type Fault, faults, serveOn, vips } from "./faults.ts";

const director = "10.2.0.11";
const director6 = "2001:db8:2::11";
/** Full-sized packets are a request where the check speaks HTTP, and echo requests else. */
const checks = { dr: { kind: "tcp" }, tun: { kind: "http", path: "/" }, dr6: { kind: "tcp" } } as const;
const shapes = {
  dr: { vip: vips.dr, forwarding: "dr", realServers: [{ host: "rs1", rip: "10.2.0.21" }] },
  tun: { vip: vips.tun, forwarding: "tun", realServers: [{ host: "rs4", rip: "10.3.0.24" }] },
  dr6: { vip: vips.dr6, forwarding: "dr", realServers: [{ host: "rs2", rip: "2001:db8:2::22" }], name: "dr6" },
} as const;
const hosts = { dr: "rs1", tun: "rs4", dr6: "rs2" } as const;
const names = ["rs1", "rs4", "rs2", "dir1"] as const;

describe("proof of the real path", { timeout: 120_000 }, () => {
  const lab = useLab();
  /** Pids of the agents. */
  const agents = new Map<string, number>();

  const hold = (name: string) => holdAgent(lab.host(name), agents.get(name)!, undo);

  beforeAll(async () => {
    await installAgent(...names.map((name) => lab.host(name)));
    await lab.host("dir1").sh(`ip addr add ${director6}/64 dev eth0 nodad`);
    await lab.host("rs2").sh(`ip addr add 2001:db8:2::22/64 dev eth0 nodad; ${serveOn("[::]")}`);
    const dr = fragmentsOf({ ...shapes.dr, realServers: [...shapes.dr.realServers] });
    const tun = fragmentsOf({ ...shapes.tun, realServers: [...shapes.tun.realServers] });
    const dr6 = fragmentsOf({ ...shapes.dr6, realServers: [...shapes.dr6.realServers] });
    const proving = (service: object, kind: keyof typeof checks) => {
      const health = { ...HealthSpec.parse({ check: checks[kind] }), sorryServer: null };
      return { ...service, provesPaths: true, health };
    };
    await applyPlan(lab.host("rs1"), [{ ...dr.realServer("rs1"), probedFrom: [director] }]);
    await applyPlan(lab.host("rs4"), [{ ...tun.realServer("rs4"), probedFrom: [director] }]);
    await applyPlan(lab.host("rs2"), [{ ...dr6.realServer("rs2"), probedFrom: [director6] }]);
    // By source NAT no agent takes part on the real server.
    const nat6 = fragmentsOf({
      vip: "2001:db8:2::101",
      forwarding: "fullnat",
      realServers: [...shapes.dr6.realServers],
      name: "nat6",
    });
    const services = [
      proving(dr.service, "dr"),
      proving(tun.service, "tun"),
      proving(dr6.service, "dr6"),
      proving(nat6.service, "tun"),
    ];
    await applyPlan(lab.host("dir1"), [...services, dr.vip, tun.vip, dr6.vip, nat6.vip]);
    for (const name of names) agents.set(name, await startAgent(lab.host(name)));
  }, 300_000);

  /** The verdict on a path from what its two ends say now, as the controller joins it. */
  async function verdict(kind: Fault["paths"][number]): Promise<PathVerdict & { report?: PathReport; arrival?: ArrivalReport }> {
    const [said, seen] = await Promise.all([pathsOf(lab.host("dir1")), pathsOf(lab.host(hosts[kind]))]);
    const at = Date.now();
    const serviceId = kind === "dr6" ? "vs_dr6" : `vs_${vips[kind].replaceAll(".", "")}`;
    const report = said.paths?.find((one) => one.serviceId === serviceId);
    const arrival = seen.arrivals?.find((one) => one.serviceId === serviceId);
    if (!report || !arrival) return { state: "checking", step: null, cause: null };
    const joined = judgePath({
      forwarding: shapes[kind].forwarding,
      protocol: "tcp",
      director: { report, at },
      realServer: { report: arrival, at },
    });
    return { ...joined, report, arrival };
  }

  async function becomes(kind: Fault["paths"][number], wanted: PathVerdict): Promise<void> {
    let last: unknown;
    const isSo = async () => {
      last = await verdict(kind);
      const { state, step, cause } = last as PathVerdict;
      return state === wanted.state && step === wanted.step && cause === wanted.cause;
    };
    await until(`the ${kind} path to be ${JSON.stringify(wanted)}`, isSo, { deadlineMs: 60_000, everyMs: 500 }).catch((error) => {
      throw new Error(`${(error as Error).message}; last: ${JSON.stringify(last)}`);
    });
  }

  const proved: PathVerdict = { state: "proved", step: null, cause: null };

  test("all paths are proved, outside the services' own statistics", async () => {
    await becomes("dr", proved);
    await becomes("tun", proved);
    await becomes("dr6", proved);
    // Full-sized echo requests pass, and full-sized requests to the service.
    for (const name of ["dr6", "nat6"]) {
      let last: PathReport | undefined;
      const isLarge = async () => {
        last = (await pathsOf(lab.host("dir1"))).paths?.find(({ serviceId }) => serviceId === `vs_${name}`);
        return last?.outcome === "ok" && last.large === true;
      };
      await until(`large packets of ${name} to pass`, isLarge, { deadlineMs: 60_000, everyMs: 500 }).catch((error) => {
        throw new Error(`${(error as Error).message}; last: ${JSON.stringify(last)}`);
      });
    }
    // The kernel sums its counts up every two seconds only.
    let rates = "";
    const areCounted = async () => {
      rates = await lab.host("dir1").sh("ipvsadm -Ln --stats --exact");
      return /^FWM +21586 +[1-9]/m.test(rates) && /^FWM +21586 IPv6 +[1-9]/m.test(rates);
    };
    await until("the probes to be counted", areCounted, { deadlineMs: 30_000, everyMs: 500 }).catch((error) => {
      throw new Error(`${(error as Error).message}; last: ${rates}`);
    });
    const line = (name: string) => rates.split("\n").find((text) => text.includes(name)) ?? "";
    for (const service of [`${vips.dr}:80`, `[${vips.dr6}]:80`]) expect(line(service).trim().split(/\s+/)[2]).toBe("0");
    // Else the director's own packets, its health checks first, would come from the VIP, and the real server would answer itself.
    expect(await lab.host("dir1").sh("ip -6 route get 2001:db8:2::22")).toContain(`src ${director6} `);
  });

  const undo: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const one of undo.splice(0).reverse()) await one();
  });

  test.each(faults)("$name", async ({ paths: all, step, cause, steps, evidence, wanted }) => {
    await Promise.all(all.map((path) => becomes(path, proved)));
    for (const { host, make, mend, isHeld } of steps) {
      const on = lab.host(host);
      if (isHeld) await hold(host);
      undo.push(() => on.sh(mend));
      await on.sh(make);
    }
    expect(await evidence(lab)).toMatch(wanted);
    await Promise.all(all.map((path) => becomes(path, { state: "failed", step, cause })));
    for (const one of undo.splice(0).reverse()) await one();
    await Promise.all(all.map((path) => becomes(path, proved)));
  });
});
