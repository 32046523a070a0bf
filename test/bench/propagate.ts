// `npm run bench -- propagate [--services N] [--changes N] [--json FILE]`: from the API's answer to a change until the kernel holds it.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { until } from "@trigon/lab";
import type { NodeView, PlanEnvelope, VirtualServiceInput, VirtualServiceView } from "@trigon/model";
import { ControllerLink } from "../../apps/agent/src/link/controller-link.ts";
import { silentLog } from "../../apps/agent/src/log.ts";
import { readIdentity } from "../../apps/agent/src/state/identity.ts";
import { enroll, startWorld, type World } from "../../infra/demo/world.ts";
import { report } from "./report.ts";
import { quantile } from "./statistics.ts";

const option = (name: string, otherwise: number) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : Number(process.argv[at + 1]);
};
const services = option("services", 1_000);
const changes = option("changes", 100);
const destinations = 10;
const atOnce = 8;
const vip = "10.2.0.100";
const firstPort = 10_000;
const rips = Array.from({ length: destinations }, (_, index) => `10.2.0.${150 + index}`);
const poller = join(dirname(fileURLToPath(import.meta.url)), "ipvs-poller.py");

/** The same changes each time (xorshift32). */
let state = 0x2545f491;
const random = (below: number) => {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % below;
};

/** One VIP with many ports: a VIP costs a probe of a second, and this bench is not about probes. */
const service = (index: number): VirtualServiceInput => ({
  name: `bench ${index}`,
  vip,
  port: firstPort + index,
  forwarding: "dr",
  scheduler: "wlc",
  realServers: rips.map((rip) => ({ rip })),
  health: { check: { kind: "none" } }, // nothing listens there
});

/**
 * The director's own link once more, outside the guest: the same program with the same identity and no kernel. When it has the plan is the
 * part of the way that the slow guest has no share in.
 */
async function standIn({ lab, appliance }: World, onPlan: (plan: PlanEnvelope) => void) {
  const stateDirectory = mkdtempSync(join(tmpdir(), "trigon-standin-"));
  mkdirSync(join(stateDirectory, "identity"));
  for (const name of ["credentials.json", "enrollment.json"])
    writeFileSync(join(stateDirectory, "identity", name), await lab.host("dir1").readFile(`/var/lib/trigon/identity/${name}`), {
      mode: 0o600,
    });
  const identity = readIdentity(stateDirectory);
  if (!identity) throw new Error("the director has no identity");
  const { fleetId, nodeId } = identity.enrollment;
  const agentUrl = new URL(appliance.agentUrl);
  agentUrl.hostname = "127.0.0.1";
  let position: { fleetId: string; nodeId: string; epoch: number; generation: number } | null = null;
  const link = new ControllerLink({
    identity: { ...identity, enrollment: { ...identity.enrollment, agentUrl: agentUrl.origin } },
    stateDirectory,
    log: silentLog,
    handlers: {
      position: () => position,
      onPlan(plan) {
        position = { fleetId, nodeId, epoch: plan.epoch, generation: plan.generation };
        onPlan(plan);
        return "done";
      },
      onReportNow: () => undefined,
      onProbe: () => undefined,
      onAsk: async () => ({ problem: "a bench answers nothing" }),
      onState: (state, reason) => {
        if (reason !== null) console.log(`stand-in: ${state}: ${reason}`);
      },
    },
  });
  link.start();
  return async () => {
    await link.stop();
    rmSync(stateDirectory, { recursive: true, force: true });
  };
}

/** Follows one service in the guest's kernel; `seen` resolves with the host's time at which the poller said that a real server's weight is so. */
async function follow(world: World, port: number) {
  let text = "";
  let onLine: (destinations: Record<string, number>) => void = () => undefined;
  let last: Record<string, number> = {};
  const process = await world.lab.host("dir1").spawn([poller, vip, String(port)], {
    onStdout(chunk) {
      text += chunk.toString();
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) {
        last = JSON.parse(line).destinations;
        onLine(last);
      }
    },
  });
  process.exited.catch(() => undefined);
  return {
    process,
    until: (rip: string, weight: number) =>
      new Promise<number>((resolve) => {
        onLine = (found) => found[`${rip}:${port}`] === weight && resolve(performance.now());
        onLine(last);
      }),
  };
}

const within = <T>(what: string, promise: Promise<T>, ms = 60_000): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took more than ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};

const world = await startWorld({ name: `bench-propagate-${process.pid}`, web: false, onStep: console.log });
let leave = async () => {};
const figures = { inGuest: [] as number[], outside: [] as number[], api: [] as number[] };
let loading = 0;
try {
  await enroll(world, "dir1", "director");
  await until(
    "the director to be connected",
    async () => (await world.api.call<{ data: NodeView[] }>("GET", "/nodes")).data.every(({ isConnected }) => isConnected),
    { deadlineMs: 60_000, everyMs: 100 },
  );

  console.log(`creating ${services} services × ${destinations} through the REST API`);
  const began = performance.now();
  const ids: string[] = [];
  let next = 0;
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (next < services) {
        const index = next++;
        ids[index] = (await world.api.call<VirtualServiceView>("POST", "/virtual-services", service(index))).id;
        if (index % 100 === 99) console.log(`  ${index + 1} after ${((performance.now() - began) / 1000).toFixed(1)} s`);
      }
    }),
  );
  loading = performance.now() - began;
  const expected = services * (1 + destinations);
  await until(
    "the director to hold them all",
    async () => Number(await world.lab.host("dir1").sh("ipvsadm -Sn | grep -vc -- ' -f '")) === expected,
    { deadlineMs: 300_000, everyMs: 1_000 },
  );

  let onPlan: (plan: PlanEnvelope) => void = () => undefined;
  let hasPlan = false;
  leave = await standIn(world, (plan) => {
    hasPlan ||= plan.fragments.length > 0;
    onPlan(plan);
  });
  await until("the stand-in to have its plan", async () => hasPlan, { deadlineMs: 60_000, everyMs: 100 });

  for (let change = 0; change < changes; change += 1) {
    const index = random(services);
    const path = `/virtual-services/${ids[index]}`;
    const current = await world.api.send<VirtualServiceView>("GET", `/api/v1${path}`);
    const changed = random(destinations);
    const weight = 2 + change;
    const realServers = current.body.realServers.map(({ id, rip, weight: before }, at) => ({
      id,
      rip,
      weight: at === changed ? weight : before,
    }));
    const rip = current.body.realServers[changed]?.rip ?? "";
    const watch = await follow(world, firstPort + index);
    await within("the poller's first look", watch.until(rip, current.body.realServers[changed]?.weight ?? 1));
    const fetched = new Promise<number>((resolve) => {
      onPlan = (plan) => {
        const fragment = plan.fragments.find(({ serviceId }) => serviceId === ids[index]);
        const planned = fragment?.destinations as { rip: string; weight: number }[] | undefined;
        if (planned?.some((one) => one.rip === rip && one.weight === weight)) resolve(performance.now());
      };
    });
    const held = watch.until(rip, weight);
    const asked = performance.now();
    await world.api.call("PATCH", path, { realServers }, { "if-match": String(current.headers.etag) });
    const answered = performance.now();
    figures.api.push(answered - asked);
    // A plan may well arrive before the API's answer does.
    figures.outside.push(Math.max(0, (await within("the stand-in's plan", fetched)) - answered));
    figures.inGuest.push(Math.max(0, (await within("the kernel's change", held)) - answered));
    await watch.process.kill();
  }
} finally {
  await leave();
  await world.stop();
}

const shown = (name: keyof typeof figures) =>
  `${quantile(figures[name], 0.5).toFixed(1)}  ${quantile(figures[name], 0.99).toFixed(1)}`;
report({
  title: `${services} services × ${destinations} loaded in ${(loading / 1000).toFixed(0)} s; ${changes} changes of one weight each; ms, median and p99`,
  rows: [
    ["from the API's answer until the guest's kernel holds it (poller)", shown("inGuest")],
    ["from the API's answer until an agent outside the guest has the plan", shown("outside")],
    ["the API's own answer", shown("api")],
  ],
  figures: {
    medianMs: quantile(figures.inGuest, 0.5),
    p99Ms: quantile(figures.inGuest, 0.99),
    outsideMedianMs: quantile(figures.outside, 0.5),
    outsideP99Ms: quantile(figures.outside, 0.99),
    apiMedianMs: quantile(figures.api, 0.5),
    apiP99Ms: quantile(figures.api, 0.99),
  },
});
