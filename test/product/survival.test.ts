import { readFileSync } from "node:fs";
import { fetchAnswers, type LabHost, startLoad, until } from "@trigon/lab";
import type { VirtualServiceView } from "@trigon/model";
import { afterEach, beforeAll, expect, test } from "vitest";
import { demoServices, hostOfRip } from "../../infra/demo/services.ts";
import { createDemoServices, inSync } from "../../infra/demo/world.ts";
import { allConnected, ipvsTable, listenerPid, sql } from "./oracles.ts";
import { useWorld } from "./use-world.ts";

const world = useWorld();
const unit = "/run/units/trigon-agent.service";
const heldConnections = 20;
const newConnections = 2_000;
const rate = 30;

let services: VirtualServiceView[];
let targets: string[];
const undo: (() => unknown)[] = [];

beforeAll(async () => {
  services = await createDemoServices(world.api);
  targets = services.map(({ vip, port }) => `${vip}:${port}`);
});
afterEach(async () => {
  for (const one of undo.splice(0).reverse()) await one();
});

const pidOf = async (host: LabHost, kind: "pid" | "supervisor") => Number(await host.readFile(`${unit}.${kind}`));
const controllerPid = () => listenerPid(Number(new URL(world.agentUrl).port));

/** Saves another weight for the first real server of a service, as a user would. */
async function saveWeight(name: string, weight: number): Promise<VirtualServiceView> {
  const { id } = services.find((service) => service.name === name)!;
  const { headers, body } = await world.api.send<VirtualServiceView>("GET", `/api/v1/virtual-services/${id}`);
  const realServers = body.realServers.map((realServer, at) => (at === 0 ? { ...realServer, weight } : realServer));
  return world.api.call("PATCH", `/virtual-services/${id}`, { realServers }, { "if-match": headers.etag! });
}

/** Waits until `ipvsadm` on the director shows a line. */
const shows = (line: string) =>
  until(`"${line}" on dir1`, async () => (await ipvsTable(world.lab.host("dir1"))).split("\n").includes(line), {
    deadlineMs: 180_000,
    everyMs: 100,
  });

test("kill -9 of the agent, the controller and Postgres, one at a time, under load: nothing fails, nothing is lost", async () => {
  const { lab, api, databaseUrl } = world;
  const dir1 = lab.host("dir1");
  const began = performance.now();
  const load = await startLoad(lab.host("client"), { targets, rate, held: heldConnections });
  undo.push(() => load.stop());

  // The agent. Its service manager is held back, so that what happens meanwhile happens while it is down.
  const supervisor = await pidOf(dir1, "supervisor");
  const agent = await pidOf(dir1, "pid");
  await dir1.sh(`kill -STOP ${supervisor} && kill -9 ${agent}`);
  undo.push(() => dir1.sh(`kill -CONT ${supervisor}`));
  await saveWeight("web-dr", 3);
  await dir1.sh("ipvsadm -E -t 10.2.0.101:80 -s wlc && ipvsadm -e -t 10.2.0.102:80 -r 10.4.0.25:8080 -m -w 7");
  const drifted = await ipvsTable(dir1);
  expect(drifted).toContain("-A -t 10.2.0.101:80 -s wlc");
  expect(drifted).toContain("-a -t 10.2.0.102:80 -r 10.4.0.25:8080 -m -w 7");
  expect(drifted).toContain("-a -t 10.2.0.100:80 -r 10.2.0.21:80 -g -w 1");
  await dir1.sh(`kill -CONT ${supervisor}`);
  await shows("-a -t 10.2.0.100:80 -r 10.2.0.21:80 -g -w 3");
  await shows("-A -t 10.2.0.101:80 -s rr");
  await shows("-a -t 10.2.0.102:80 -r 10.4.0.25:8080 -m -w 1");
  expect(await pidOf(dir1, "pid")).not.toBe(agent);

  // The controller.
  const controller = controllerPid()!;
  process.kill(controller, "SIGKILL");
  await until(
    "another controller",
    async () => controllerPid() !== controller && (await api.call("GET", "/fleet")) !== undefined,
    {
      deadlineMs: 180_000,
      everyMs: 100,
    },
  );
  await saveWeight("web-dr", 4);
  await shows("-a -t 10.2.0.100:80 -r 10.2.0.21:80 -g -w 4");

  // Postgres.
  const [{ data_directory: folder }] = (await sql<{ data_directory: string }>(databaseUrl, "SHOW data_directory")) as [
    { data_directory: string },
  ];
  const postmaster = () => Number(readFileSync(`${folder}/postmaster.pid`, "utf8").split("\n")[0]);
  const postgres = postmaster();
  process.kill(postgres, "SIGKILL");
  await until("another Postgres", async () => postmaster() !== postgres && (await sql(databaseUrl, "SELECT 1")).length === 1, {
    deadlineMs: 180_000,
    everyMs: 100,
  });
  await until("a change to be taken", () => saveWeight("web-dr", 5), { deadlineMs: 60_000, everyMs: 200 });
  await shows("-a -t 10.2.0.100:80 -r 10.2.0.21:80 -g -w 5");

  await until("enough connections", () => performance.now() - began > (1_100 * newConnections) / rate, {
    deadlineMs: 240_000,
    everyMs: 200,
  });
  const summary = await load.stop();
  expect({ ...summary, failures: summary.failures.slice(0, 5) }).toMatchObject({ failed: 0, heldFailed: 0, failures: [] });
  expect(summary.ok).toBeGreaterThanOrEqual(newConnections);
  expect(Object.keys(summary.servers).sort()).toEqual(["rs1", "rs2", "rs3", "rs4", "rs5", "rs6"]);
  for (const { id } of services) await inSync(api, id);
}, 600_000);

/** Which lab hosts must answer for each service. */
const expectedServers = demoServices.map(({ vip, realServers }) => ({
  target: `${vip}:80`,
  servers: realServers!.map(({ rip }) => hostOfRip[rip]).sort(),
}));

async function everyServiceAnswers() {
  for (const { target, servers } of expectedServers) {
    await until(
      `${servers} to answer for ${target}`,
      async () => {
        const answers = await fetchAnswers(world.lab.host("client"), target, { count: 6, timeoutSeconds: 2 });
        return answers.length === 6 && `${[...new Set(answers.map(({ server }) => server))].sort()}` === `${servers}`;
      },
      { deadlineMs: 120_000, everyMs: 200 },
    );
  }
}

test.each([
  ["director", "dir1"],
  ["real server", "rs1"],
])(
  "a %s that reboots while the controller hangs serves again from its cached plan",
  async (_role, host) => {
    const { lab, api } = world;
    await saveWeight("web-dr", 1);
    for (const { id } of services) await inSync(api, id);
    await everyServiceAnswers();
    const before = await ipvsTable(lab.host("dir1"));
    const bootId = `${await lab.host(host).readFile("/proc/sys/kernel/random/boot_id")}`;
    const controller = controllerPid()!;
    process.kill(controller, "SIGSTOP");
    undo.push(() => process.kill(controller, "SIGCONT"));
    await lab.rebuildHost(host);
    await everyServiceAnswers();
    expect(`${await lab.host(host).readFile("/proc/sys/kernel/random/boot_id")}`).not.toBe(bootId);
    expect(await ipvsTable(lab.host("dir1"))).toBe(before);
    process.kill(controller, "SIGCONT");
    await allConnected(api);
    for (const { id } of services) await inSync(api, id);
  },
  300_000,
);
