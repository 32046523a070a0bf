import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Probe } from "@trigon/health";
import { FakeKernel } from "@trigon/kernel/testing/fake";
import { type DirectorServiceFragment, HealthCheck, HealthSpec, type PlanEnvelope } from "@trigon/model";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { silentLog } from "../log.ts";
import { loopTimes } from "../loop.ts";
import { type Node, openNode } from "../node.ts";
import { agentPaths } from "../paths.ts";
import { eventually } from "../testing/eventually.ts";
import { directorService, planEnvelope, plannedDestination } from "../testing/plans.ts";

let directory: string;
let kernel: FakeKernel;
let node: Node | undefined;
const dead = new Set<string>();
/** The VIPs at which dead real servers do not answer. */
const deadVips = new Set<string>();
let probes = 0;
const probe: Probe = async ({ rip, through }) => {
  probes++;
  return dead.has(rip) && (!through || deadVips.has(through.vip))
    ? { outcome: "fail", reason: "refused", message: "The connection was refused" }
    : { outcome: "pass", latencyMs: 1 };
};
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "trigon-health-"));
  kernel = new FakeKernel();
  dead.clear();
  deadVips.clear();
});
afterEach(async () => {
  await node?.close();
  node = undefined;
  rmSync(directory, { recursive: true, force: true });
});

async function start(): Promise<Node> {
  const paths = { ...agentPaths(directory), policy: join(directory, "policy.yaml") };
  // No sweep: what changes in the kernel is health's doing.
  const times = { ...loopTimes, sweepTickMs: 60_000 };
  node = await openNode({ paths, log: silentLog, onChange: () => undefined, kernel, probe, times });
  node.loop.start();
  await node.loop.settled();
  return node;
}

const health = (change: object = {}): NonNullable<DirectorServiceFragment["health"]> => ({
  ...HealthSpec.parse(change),
  sorryServer: null,
  check: HealthCheck.parse({ kind: "tcp", intervalMs: 100, fastIntervalMs: 100, timeoutMs: 50, rise: 1, fall: 2 }),
});
const service = (n: number, rips: string[], change: object = {}) =>
  directorService(`v${n}`, {
    hash: JSON.stringify([rips, change]),
    vip: `10.2.0.${100 + n}`,
    health: health(change),
    destinations: rips.map((rip) => plannedDestination(rip, { weight: 5 })),
  });
let generation = 0;
const plan = (...fragments: PlanEnvelope["fragments"]) => planEnvelope(++generation, { allowMassRemoval: true, fragments });

/** `21=5,22=0`: the weights in the kernel, by the last part of the RIP. */
const weights = (n = 1) =>
  [...kernel.destinations.values()]
    .filter(({ service: key }) => key.includes(`10.2.0.${100 + n} `))
    .map(({ address, weight }) => `${address.split(".")[3]}=${weight}`)
    .toSorted()
    .join();
const until = (what: () => boolean) => eventually(what, 5_000, weights);

describe("a director's health checks", () => {
  test("weigh a dead real server 0 and bring it back, with no plan in between, looking at the services concerned only", async () => {
    const { loop, health: checks } = await start();
    loop.accept(plan(service(1, ["10.2.0.21", "10.2.0.22"]), service(2, ["10.2.0.22", "10.2.0.23"]), service(3, ["10.2.0.23"])));
    await loop.settled();
    expect([weights(1), weights(2)]).toEqual(["21=5,22=5", "22=5,23=5"]);
    const before = { ...kernel.reads };
    dead.add("10.2.0.21");
    await until(() => weights() === "21=0,22=5");
    await loop.settled();
    // The service's own three keys, read and verified; not the other services', nor modules and settings.
    expect(kernel.reads.keys - before.keys).toBeLessThanOrEqual(6);
    expect(kernel.reads.observeAll).toBe(before.observeAll);
    expect(loop.states.get("ds:v1")?.state).toBe("applied");
    expect(checks.report(["ds:v1"])[0]).toMatchObject({
      mode: "normal",
      realServers: [
        { realServerId: "rs_10.2.0.21", verdict: "down", isOut: true, reason: "refused" },
        { realServerId: "rs_10.2.0.22", verdict: "up", isOut: false },
      ],
    });
    dead.clear();
    await until(() => weights() === "21=5,22=5");
    expect(loop.takeEvents().map(({ message }) => message)).toEqual([
      "The agent started",
      "10.2.0.21 fails its tcp check: The connection was refused",
      "10.2.0.21 passes its tcp check again",
    ]);
  });

  test("that go to the VIP take a real server out of that VIP's service only, and say by which VIP", async () => {
    const { loop } = await start();
    const byVip = (n: number) => {
      const fragment = service(n, ["10.2.0.21", "10.2.0.22"]);
      const check = { ...health().check, target: "vip" };
      return { ...fragment, health: { ...health(), check } };
    };
    deadVips.add("10.2.0.101");
    loop.accept(plan(byVip(1), byVip(2)));
    dead.add("10.2.0.22");
    await until(() => weights(1) === "21=5,22=0");
    expect(weights(2)).toBe("21=5,22=5");
    expect(loop.takeEvents().map(({ message }) => message)).toContain(
      "10.2.0.22 fails its tcp check by the VIP 10.2.0.101: The connection was refused",
    );
  });

  test("take a dead real server out where removal is wished", async () => {
    const { loop } = await start();
    loop.accept(plan(service(1, ["10.2.0.21", "10.2.0.22"], { onFailure: "remove" })));
    dead.add("10.2.0.22");
    await until(() => weights() === "21=5");
    dead.clear();
    await until(() => weights() === "21=5,22=5");
  });

  test("fail open when all fail, and say so", async () => {
    const { loop, health: checks } = await start();
    loop.accept(plan(service(1, ["10.2.0.21", "10.2.0.22"])));
    dead.add("10.2.0.21");
    await until(() => weights() === "21=0,22=5");
    dead.add("10.2.0.22");
    await until(() => weights() === "21=5,22=5");
    expect(checks.report(["ds:v1"])[0]?.mode).toBe("failOpen");
    await until(() => loop.takeEvents().some(({ message }) => message.includes("fail-open")));
    dead.delete("10.2.0.21");
    await until(() => weights() === "21=5,22=0");
  });

  test("are remembered over a crash: the first pass has the last verdicts, before any probe", async () => {
    const first = await start();
    first.loop.accept(plan(service(1, ["10.2.0.21", "10.2.0.22"])));
    dead.add("10.2.0.22");
    await until(() => weights() === "21=5,22=0");
    await until(
      () => existsSync(join(directory, "health.json")) && readFileSync(join(directory, "health.json"), "utf8").includes("down"),
    );
    await first.loop.stop(); // the checks are not closed: nothing is written in the end
    kernel.services.clear();
    kernel.destinations.clear();
    const probed = probes;
    const second = await start();
    expect(weights()).toBe("21=5,22=0");
    expect(probes - probed).toBeLessThanOrEqual(2);
    first.health.close();
    expect(second.loop.states.get("ds:v1")?.state).toBe("applied");
  });

  test("keep their verdict when a new plan changes something else, and stop with the service", async () => {
    const { loop, health: checks } = await start();
    loop.accept(plan(service(1, ["10.2.0.21", "10.2.0.22"])));
    dead.add("10.2.0.22");
    await until(() => weights() === "21=5,22=0");
    loop.accept(plan(service(1, ["10.2.0.21", "10.2.0.22", "10.2.0.23"])));
    await loop.settled();
    expect(weights()).toBe("21=5,22=0,23=5");
    loop.accept(plan());
    await loop.settled();
    expect([...checks.ids()]).toEqual([]);
    expect(checks.stats().endpoints).toBe(0);
  });
});
