import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { arpHolders, fetchAnswers, Lab, type LabHost, until } from "@trigon/lab";
import type { DirectorGroupView, NodeView, VirtualServiceInput } from "@trigon/model";
import { afterEach, expect, inject, test } from "vitest";
import { createService, inSync } from "../../infra/demo/world.ts";
import { anotherController, sharedSecret } from "./another-controller.ts";
import { allConnected, ipvsTable, listenerPid, otherDatabase, sql } from "./oracles.ts";
import { deleteAllServices, useWorld } from "./use-world.ts";

const world = useWorld();
const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const one of undo.splice(0).reverse()) await one();
});

interface Fleet {
  epoch: number;
  sequence: number;
  observeOnly: boolean;
  highestReported: number | null;
}

const portOf = (url: string) => Number(new URL(url).port);
const dr = (name: string, vip: string, ...rips: string[]): VirtualServiceInput => ({
  name,
  vip,
  port: 80,
  forwarding: "dr",
  scheduler: "rr",
  realServers: rips.map((rip) => ({ rip })),
});

async function startController(databaseUrl: string, options: { env?: NodeJS.ProcessEnv } = {}) {
  const other = await anotherController(world, { databaseUrl, ...options });
  undo.push(() => other.stop());
  return other;
}

/** Makes a database on the appliance's own server, dropped after the test. `from` names one to copy, which nobody may use meanwhile. */
async function makeDatabase(name: string, from?: string): Promise<string> {
  const maintenance = otherDatabase(world.databaseUrl, "postgres");
  const drop = `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`;
  await sql(maintenance, drop);
  if (from) {
    await sql(maintenance, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", [from]);
    await until("the copy", () => sql(maintenance, `CREATE DATABASE ${name} TEMPLATE ${from}`).then(() => true), {
      deadlineMs: 20_000,
    });
  } else await sql(maintenance, `CREATE DATABASE ${name}`);
  undo.push(() => sql(maintenance, drop));
  return otherDatabase(world.databaseUrl, name);
}

/** Leads the lab's way to the agent port to another listener, and back after the test. Connections that stand are cut. */
async function leadAgentsTo(port: number): Promise<() => Promise<void>> {
  const agentPort = portOf(world.agentUrl);
  const { labState } = inject("world");
  // The relay that the lab's starter holds; those of ended or of this process are not it.
  const usual = readdirSync(labState).find((name) => {
    const owner = new RegExp(`^forward-${agentPort}-(\\d+)\\.sock$`).exec(name)?.[1];
    return owner !== undefined && Number(owner) !== process.pid && existsSync(`/proc/${owner}`);
  });
  if (!usual) throw new Error("the lab forwards no agent port");
  const lab = await Lab.attach(labState); // never detached: that would close the way for all
  await lab.forward(agentPort, { port });
  let isBack = false;
  const back = async () => {
    if (isBack) return;
    isBack = true;
    await lab.forward(agentPort, { path: join(labState, usual) });
  };
  undo.push(back);
  const pid = listenerPid(agentPort)!;
  process.kill(pid, "SIGKILL");
  await until("the controller to be back", () => (listenerPid(agentPort) ?? pid) !== pid && world.api.call("GET", "/fleet"), {
    deadlineMs: 60_000,
    everyMs: 100,
  });
  return back;
}

const watched = ["dir1", "dir2", "rs1", "rs2"];

/** Everything a forgetful controller could take away: IPVS tables and addresses. */
async function kernels() {
  return Promise.all(
    watched.map(async (name) => ({
      name,
      ipvs: await ipvsTable(world.lab.host(name)),
      addresses: await world.lab.host(name).sh("ip -4 -o addr | awk '{print $2, $4}' | sort"),
    })),
  );
}

/** What the nodes hold once nothing is left of services that were deleted before: on `lo`, these VIPs only. */
async function settledKernels(...vips: string[]) {
  const isOurs = (line: string) => vips.some((vip) => line === `lo ${vip}/32`);
  return until(
    `nothing but ${vips} on lo`,
    async () => {
      const now = await kernels();
      return now.every(({ addresses }) => (addresses.match(/^lo 10\..*$/gm) ?? []).every(isOurs)) ? now : undefined;
    },
    { deadlineMs: 60_000, everyMs: 200 },
  );
}

/** The agent's own journal of a host, read without starting a program there. */
const journal = async (name: string) =>
  `${await world.lab.host(name).readFile("/run/units/trigon-agent.service.log")}`.split("\n");

/** Waits until the journals of some agents say, `times` more times than now, why no plan was taken. */
async function asksInVain(names: readonly string[], why: RegExp, times: number): Promise<void> {
  const failures = async (name: string) => (await journal(name)).filter((line) => why.test(line)).length;
  const before = await Promise.all(names.map(failures));
  await until(
    `${names} to ask in vain ${times} times (${why})`,
    async () => (await Promise.all(names.map(failures))).every((count, at) => count >= before[at]! + times),
    { deadlineMs: 150_000, everyMs: 500 },
  );
}

test("two controllers on one database: a change by way of one is carried out by agents that hang on the other", async () => {
  const { lab, api, databaseUrl } = world;
  const dir1 = lab.host("dir1");
  const { api: other } = await startController(databaseUrl, { env: sharedSecret(world) });
  const { id } = await createService(other, dr("by-the-other", "10.2.0.120", "10.2.0.21", "10.2.0.22"));
  expect(await ipvsTable(dir1)).toContain("-A -t 10.2.0.120:80 -s rr");

  const { headers } = await other.send("GET", `/api/v1/virtual-services/${id}`);
  await other.call("PATCH", `/virtual-services/${id}`, { scheduler: "sed" }, { "if-match": headers.etag! });
  await until("the change in the kernel", async () => (await ipvsTable(dir1)).includes("-A -t 10.2.0.120:80 -s sed"), {
    deadlineMs: 5_000,
  });
  await inSync(api, id);
  for (const path of [`/virtual-services/${id}`, "/virtual-services", "/director-groups", "/fleet", "/changes?limit=5"]) {
    await until(`the same answer to ${path}`, async () => {
      const answers = await Promise.all([api, other].map((one) => one.call("GET", path)));
      return JSON.stringify(answers[0]) === JSON.stringify(answers[1]);
    });
  }

  // The one that the agents hang on dies; what is saved by the other meanwhile is carried out once it is back.
  const agentPort = portOf(world.agentUrl);
  const pid = listenerPid(agentPort)!;
  process.kill(pid, "SIGKILL");
  const { headers: now } = await other.send("GET", `/api/v1/virtual-services/${id}`);
  await other.call("PATCH", `/virtual-services/${id}`, { scheduler: "nq" }, { "if-match": now.etag! });
  await until("the change in the kernel", async () => (await ipvsTable(dir1)).includes("-A -t 10.2.0.120:80 -s nq"), {
    deadlineMs: 60_000,
    everyMs: 100,
  });
  expect(listenerPid(agentPort)).not.toBe(pid);
  await inSync(other, id);
  await deleteAllServices(other);
}, 600_000);

test("a controller that starts on an empty database makes no agent remove anything", async () => {
  const { api } = world;
  await createService(api, dr("survives-empty", "10.2.0.121", "10.2.0.21", "10.2.0.22"));
  const before = await settledKernels("10.2.0.121");
  expect(before[0]!.ipvs).toContain("-A -t 10.2.0.121:80");
  const { agentPort } = await startController(await makeDatabase("trigon_empty"));
  const back = await leadAgentsTo(agentPort);
  await asksInVain(watched, /The plan could not be fetched.*(certificate|signature|issuer)/i, 3);
  expect(await kernels()).toEqual(before);
  expect(await fetchAnswers(world.lab.host("client"), "10.2.0.121:80", { count: 2 })).toHaveLength(2);
  await back();
  await allConnected(api);
  await deleteAllServices(api);
}, 600_000);

test("a controller on an older database removes nothing and only observes, until an operator confirms it", async () => {
  const { api, lab, databaseUrl } = world;
  const agentPort = portOf(world.agentUrl);
  await createService(api, dr("before-the-copy", "10.2.0.122", "10.2.0.21", "10.2.0.22"));

  const controller = listenerPid(agentPort)!;
  process.kill(controller, "SIGSTOP");
  undo.push(() => existsSync(`/proc/${controller}`) && process.kill(controller, "SIGCONT"));
  const older = await makeDatabase("trigon_older", new URL(databaseUrl).pathname.slice(1));
  process.kill(controller, "SIGCONT");

  const newer = await until(
    "a service after the copy",
    () => createService(api, dr("after-the-copy", "10.2.0.123", "10.2.0.21")),
    {
      deadlineMs: 60_000,
    },
  );
  const before = await settledKernels("10.2.0.122", "10.2.0.123");
  expect(before[0]!.ipvs).toContain("-A -t 10.2.0.123:80");

  const restored = await startController(older, { env: sharedSecret(world) });
  // Only these have seen a generation that the older database does not know.
  const refusals = asksInVain(["dir1", "rs1"], /restored database|observe-only mode until an operator confirms/, 1);
  refusals.catch(() => undefined); // awaited below, unless something else fails first
  const back = await leadAgentsTo(restored.agentPort);
  const fleet = await until(
    "the restored controller to say that it only observes",
    async () => {
      const answer = await restored.api.call<Fleet>("GET", "/fleet");
      return answer.observeOnly ? answer : undefined;
    },
    { deadlineMs: 90_000, everyMs: 200 },
  );
  expect(fleet.highestReported).toBeGreaterThan(fleet.sequence - 5);
  const refused = await restored.api.send("POST", "/api/v1/virtual-services", dr("not-now", "10.2.0.124", "10.2.0.21"));
  expect(refused).toMatchObject({ status: 409, body: { code: "fleet.observeOnly" } });
  await refusals;
  expect(await kernels()).toEqual(before);

  // The operator takes the older database as the truth: the newer service goes, the older one stays.
  const confirmed = await restored.api.call<Fleet>("POST", "/fleet/confirm-restore", {});
  expect(confirmed).toMatchObject({ epoch: fleet.epoch + 1, observeOnly: false });
  await until("the newer service to be gone", async () => !(await ipvsTable(lab.host("dir1"))).includes("10.2.0.123"), {
    deadlineMs: 90_000,
    everyMs: 200,
  });
  expect(await ipvsTable(lab.host("dir1"))).toContain("-A -t 10.2.0.122:80");

  // And back to the first database, which is now the one that is behind.
  await back();
  await restored.appliance.stop();
  await until("the first controller to observe", async () => (await api.call<Fleet>("GET", "/fleet")).observeOnly, {
    deadlineMs: 90_000,
    everyMs: 200,
  });
  // Twice: the other database has given out the next epoch already, with other content.
  for (const _time of [1, 2]) await api.call("POST", "/fleet/confirm-restore", {});
  await allConnected(api);
  await inSync(api, newer.id, 120_000);
  expect(await ipvsTable(lab.host("dir1"))).toContain("-A -t 10.2.0.123:80");
  await deleteAllServices(api);
}, 600_000);

test("the VIPs move from one director to the other: at no time do two answer for them", async () => {
  const { api, lab } = world;
  const [dir1, dir2, router, client] = ["dir1", "dir2", "router", "client"].map((name) => lab.host(name)) as [
    LabHost,
    LabHost,
    LabHost,
    LabHost,
  ];
  const vip = "10.2.0.125";
  const service = await createService(api, dr("moves", vip, "10.2.0.21", "10.2.0.22", "10.2.0.23"));
  const { data: nodes } = await api.call<{ data: NodeView[] }>("GET", "/nodes?limit=100");
  const { data: groups } = await api.call<{ data: DirectorGroupView[] }>("GET", "/director-groups");
  const groupPath = `/director-groups/${groups[0]!.id}`;
  const idOf = (name: string) => nodes.find((node) => node.name === name && node.state === "active")!.id;
  const makeActive = async (name: string) => {
    const { headers, body } = await api.send<DirectorGroupView>("GET", `/api/v1${groupPath}`);
    const spec = { name: body.name, mode: body.mode, activeNodeId: idOf(name) };
    await api.call("PUT", groupPath, spec, { "if-match": headers.etag! });
  };
  const holds = async (host: LabHost) => (await host.sh("ip -4 -o addr")).includes(` ${vip}/`);

  expect(await arpHolders(router, "eth1", vip)).toEqual([dir1.mac("eth0")]);
  for (const [to, from] of [
    [dir2, dir1],
    [dir1, dir2],
  ] as const) {
    undo.push(() => makeActive("dir1"));
    const seen: string[][] = [];
    await makeActive(to.name);
    await until(
      `${to.name} to answer for the VIP`,
      async () => {
        const holders = await arpHolders(router, "eth1", vip);
        seen.push(holders);
        return holders[0] === to.mac("eth0");
      },
      { deadlineMs: 60_000 },
    );
    expect(seen.filter((holders) => holders.length > 1)).toEqual([]);
    await until(
      "HTTP again",
      async () => (await fetchAnswers(client, `${vip}:80`, { count: 6, timeoutSeconds: 2 })).length === 6,
      {
        deadlineMs: 20_000,
      },
    );
    await inSync(api, service.id);
    expect(await holds(from)).toBe(false);
    expect(await holds(to)).toBe(true);
    expect(await ipvsTable(from)).not.toContain(vip);
    expect(await arpHolders(router, "eth1", vip)).toEqual([to.mac("eth0")]);
  }
}, 600_000);
