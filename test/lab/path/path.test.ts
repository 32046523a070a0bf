import { type Lab, until } from "@trigon/lab";
import { type ArrivalReport, HealthSpec, type PathReport } from "@trigon/model";
import { judgePath, type PathVerdict } from "@trigon/planner";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { agentStatus, applyPlan, fragmentsOf, installAgent, startAgent } from "../agent.ts";
import { useLab } from "../use-lab.ts";
import { type Fault, faults, vips } from "./faults.ts";

const director = "10.2.0.11";
/** Full-sized packets are a request where the check speaks HTTP, and echo requests else. */
const checks = { dr: { kind: "tcp" }, tun: { kind: "http", path: "/" } } as const;
const shapes = {
  dr: { vip: vips.dr, forwarding: "dr", realServers: [{ host: "rs1", rip: "10.2.0.21" }] },
  tun: { vip: vips.tun, forwarding: "tun", realServers: [{ host: "rs4", rip: "10.3.0.24" }] },
} as const;
const hosts = { dr: "rs1", tun: "rs4" } as const;

/** What a running agent says of paths. */
async function paths(lab: Lab, host: string): Promise<{ paths?: PathReport[]; arrivals?: ArrivalReport[] }> {
  const answer = await lab.host(host).sh("curl -s -X POST --unix-socket /var/lib/trigon/agent.sock http://agent/paths");
  return JSON.parse(answer);
}

describe("proof of the real path", { timeout: 120_000 }, () => {
  const lab = useLab();
  /** Pids of the agents. */
  const agents = new Map<string, number>();

  /** An agent whose policy cannot be read changes nothing, and goes on telling what it sees. */
  async function hold(name: string): Promise<void> {
    await lab.host(name).sh(`mkdir -p /etc/trigon && echo '{' >/etc/trigon/policy.yaml && kill -HUP ${agents.get(name)}`);
    undo.push(() => lab.host(name).sh(`rm /etc/trigon/policy.yaml && kill -HUP ${agents.get(name)}`));
    await until(`the agent on ${name} to hold`, async () => (await agentStatus(lab.host(name)))?.hold != null);
  }

  beforeAll(async () => {
    await installAgent(...["dir1", "rs1", "rs4"].map((name) => lab.host(name)));
    const dr = fragmentsOf({ ...shapes.dr, realServers: [...shapes.dr.realServers] });
    const tun = fragmentsOf({ ...shapes.tun, realServers: [...shapes.tun.realServers] });
    const proving = (service: object, kind: keyof typeof checks) => {
      const health = { ...HealthSpec.parse({ check: checks[kind] }), sorryServer: null };
      return { ...service, provesPaths: true, health };
    };
    await applyPlan(lab.host("rs1"), [{ ...dr.realServer("rs1"), probedFrom: [director] }]);
    await applyPlan(lab.host("rs4"), [{ ...tun.realServer("rs4"), probedFrom: [director] }]);
    await applyPlan(lab.host("dir1"), [proving(dr.service, "dr"), proving(tun.service, "tun"), dr.vip, tun.vip]);
    for (const name of ["rs1", "rs4", "dir1"]) agents.set(name, await startAgent(lab.host(name)));
  }, 300_000);

  /** The verdict on a path from what its two ends say now, as the controller joins it. */
  async function verdict(kind: Fault["forwarding"]): Promise<PathVerdict & { report?: PathReport; arrival?: ArrivalReport }> {
    const [said, seen] = await Promise.all([paths(lab, "dir1"), paths(lab, hosts[kind])]);
    const at = Date.now();
    const serviceId = `vs_${vips[kind].replaceAll(".", "")}`;
    const report = said.paths?.find((one) => one.serviceId === serviceId);
    const arrival = seen.arrivals?.find((one) => one.serviceId === serviceId);
    if (!report || !arrival) return { state: "checking", step: null, cause: null };
    const joined = judgePath({ forwarding: kind, director: { report, at }, realServer: { report: arrival, at } });
    return { ...joined, report, arrival };
  }

  async function becomes(kind: Fault["forwarding"], wanted: PathVerdict): Promise<void> {
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

  test("both paths are proved, outside the services' own statistics", async () => {
    await becomes("dr", proved);
    await becomes("tun", proved);
    const rates = await lab.host("dir1").sh("ipvsadm -Ln --stats --exact");
    const line = (name: string) => rates.split("\n").find((text) => text.includes(name)) ?? "";
    expect(line(`${vips.dr}:80`).trim().split(/\s+/)[2]).toBe("0");
    expect(Number(line("21586").trim().split(/\s+/)[2])).toBeGreaterThan(0);
  });

  const undo: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const one of undo.splice(0).reverse()) await one();
  });

  test.each(faults)("$name", async ({ forwarding, step, cause, steps, evidence, wanted }) => {
    await becomes(forwarding, proved);
    for (const { host, make, mend, isHeld } of steps) {
      const on = lab.host(host);
      if (isHeld) await hold(host);
      undo.push(() => on.sh(mend));
      await on.sh(make);
    }
    expect(await evidence(lab)).toMatch(wanted);
    await becomes(forwarding, { state: "failed", step, cause });
    for (const one of undo.splice(0).reverse()) await one();
    await becomes(forwarding, proved);
  });
});
