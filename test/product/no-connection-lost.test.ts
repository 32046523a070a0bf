import { type LoadSummary, startLoad, until } from "@trigon/lab";
import type { RealServerSpec, VirtualServiceInput, VirtualServiceView } from "@trigon/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { demoServices } from "../../infra/demo/services.ts";
import { createService, inSync } from "../../infra/demo/world.ts";
import { patchService, useWorld } from "./use-world.ts";

const vip = "10.2.0.100";
const target = `${vip}:80`;
const held = 8;
/** New connections a second: answered at once, and lasting two seconds. */
const rate = { short: 40, long: 4 };
const unit = "/run/units/trigon-agent.service";

/** As firewalld has it: what belongs to a connection, the web port and ping come in, all else is dropped, last of all what is invalid. */
const firewall = (iptables: string) =>
  `
modprobe -a nf_conntrack xt_conntrack 2>/dev/null
iptables -A INPUT -i lo -j ACCEPT
iptables -A INPUT -i mgmt0 -j ACCEPT
iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
iptables -A INPUT -p tcp --dport 80 -j ACCEPT
iptables -A INPUT -p icmp -j ACCEPT
iptables -P INPUT DROP`.replaceAll("iptables -", `${iptables} -`);

const world = useWorld();
const host = (name: string) => world.lab.host(name);
let service: VirtualServiceView;
let iptables: string;
beforeAll(async () => {
  // What the kernel can do, as an administrator would find out.
  iptables = await host("dir1").sh("iptables -S >/dev/null 2>&1 && echo iptables || echo iptables-legacy");
  await host("dir1").sh(firewall(iptables));
  const input = demoServices.find(({ forwarding }) => forwarding === "dr")!;
  service = await createService(world.api, { ...input, scheduler: "wrr", realServers: input.realServers!.slice(0, 2) });
});
afterAll(() => host("dir1").sh(`${iptables} -P INPUT ACCEPT; ${iptables} -F INPUT`));

/** What `ipvsadm -Sn` says of the service: its scheduler, and `RIP weight` of each real server. */
async function table(): Promise<string> {
  const lines = (await host("dir1").sh("ipvsadm -Sn")).split("\n").filter((line) => line.includes(` -t ${target} `));
  const scheduler = / -s (\S+)/.exec(lines.find((line) => line.startsWith("-A")) ?? "")?.[1] ?? "none";
  const servers = lines.flatMap((line) => / -r ([\d.]+):80 -g -w (\d+)/.exec(line)?.slice(1).join(" ") ?? []);
  return [scheduler, ...servers.sort()].join(", ");
}
const becomes = (expected: string) =>
  until(`the table to be ${expected}`, async () => (await table()) === expected, { deadlineMs: 90_000 });
/** ActiveConn of a real server, as `ipvsadm -Ln` prints it. */
async function activeOf(rip: string): Promise<number> {
  const line = (await host("dir1").sh("ipvsadm -Ln")).split("\n").find((text) => text.includes(`${rip}:80 `));
  return Number(line?.trim().split(/\s+/).at(-2));
}
const agentOf = async (name: string) => Number(await host(name).readFile(`${unit}.pid`));
/** Which file the program is: another one with each installation. */
const programOf = (name: string) => host(name).sh("stat -c %i:%Z /opt/trigon/lib/agent.cjs");
/** Saves a spec as a user would, each real server keeping its id. */
async function save(patch: Partial<VirtualServiceInput>): Promise<void> {
  const known = new Map(service.realServers.map(({ rip, id }) => [rip, id]));
  const realServers = patch.realServers?.map((server) => {
    const id = known.get(server.rip);
    return id ? { ...server, id } : server;
  });
  service = await patchService(world.api, service.id, { ...patch, ...(realServers ? { realServers } : {}) });
}
const servers = (third: Partial<RealServerSpec> | null, weights = [1, 1, 1]): VirtualServiceInput["realServers"] => [
  { rip: "10.2.0.21", weight: weights[0] },
  { rip: "10.2.0.22", weight: weights[1] },
  ...(third ? [{ rip: "10.2.0.23", weight: weights[2], ...third }] : []),
];
/** Only when new connections came since, and held ones went on, has a change been seen to cost nothing. */
async function carriesOn(): Promise<void> {
  const connections = async () => {
    const line = (await host("dir1").sh("ipvsadm -Ln --stats --exact"))
      .split("\n")
      .find((text) => text.includes(`TCP  ${target} `));
    return Number(line?.trim().split(/\s+/)[2]);
  };
  const before = await connections();
  await until("some more connections", async () => (await connections()) > before + rate.short / 2, { deadlineMs: 60_000 });
}

test("no change of ours loses a connection", { timeout: 600_000 }, async () => {
  const loads = [
    await startLoad(host("client"), { targets: [target], rate: rate.short, held }),
    await startLoad(host("client"), { targets: [`${target}/slow/200/10`], rate: rate.long }),
  ];
  const lost: Record<string, number> = {};
  const step = async (name: string, work: () => Promise<unknown>) => {
    const failures = () => loads.reduce((sum, load) => sum + load.failures.length, 0);
    const before = failures();
    await work();
    await carriesOn();
    lost[name] = failures() - before;
  };
  let summaries: LoadSummary[] = [];
  try {
    await step("a real server is added", async () => {
      await save({ realServers: servers({}) });
      await becomes("wrr, 10.2.0.21 1, 10.2.0.22 1, 10.2.0.23 1");
    });
    await step("weights change", async () => {
      await save({ realServers: servers({}, [3, 1, 5]) });
      await becomes("wrr, 10.2.0.21 3, 10.2.0.22 1, 10.2.0.23 5");
    });
    for (const scheduler of ["wlc", "sh", "wrr"] as const)
      await step(`the scheduler becomes ${scheduler}`, async () => {
        await save({ scheduler });
        await becomes(`${scheduler}, 10.2.0.21 3, 10.2.0.22 1, 10.2.0.23 5`);
      });
    await step("a real server is drained to nothing", async () => {
      await save({ realServers: servers({ adminState: "draining" }) });
      await becomes("wrr, 10.2.0.21 1, 10.2.0.22 1, 10.2.0.23 0");
      await until("rs3 to have no connection", async () => (await activeOf("10.2.0.23")) === 0, { deadlineMs: 60_000 });
    });
    await step("and comes back", async () => {
      await save({ realServers: servers({}) });
      await becomes("wrr, 10.2.0.21 1, 10.2.0.22 1, 10.2.0.23 1");
      await until("rs3 to have connections", async () => (await activeOf("10.2.0.23")) > 0, { deadlineMs: 60_000 });
    });
    await step("it goes into maintenance: drained, then out of the table", async () => {
      await save({ realServers: servers({ adminState: "maintenance" }) });
      await becomes("wrr, 10.2.0.21 1, 10.2.0.22 1");
    });
    await step("and comes back from there", async () => {
      await save({ realServers: servers({}) });
      await becomes("wrr, 10.2.0.21 1, 10.2.0.22 1, 10.2.0.23 1");
    });
    await step("it is drained and removed", async () => {
      await save({ realServers: servers({ adminState: "maintenance" }) });
      await becomes("wrr, 10.2.0.21 1, 10.2.0.22 1");
      await save({ realServers: servers(null) });
      await inSync(world.api, service.id);
    });
    await step("the director's first full NAT service", async () => {
      await createService(world.api, demoServices.find(({ forwarding }) => forwarding === "fullnat")!);
      expect(await host("dir1").sh("sysctl -n net.ipv4.vs.conntrack")).toBe("1");
    });
    await step("the agent is killed and starts again", async () => {
      const pid = await agentOf("dir1");
      await host("dir1").sh(`kill -9 ${pid}`);
      await until("another agent", async () => (await agentOf("dir1")) !== pid, { deadlineMs: 60_000 });
      await save({ realServers: servers(null, [2, 1]) });
      await becomes("wrr, 10.2.0.21 2, 10.2.0.22 1");
    });
    for (const name of ["dir1", "rs1"])
      await step(`the agent of ${name} is upgraded`, async () => {
        const [pid, program] = [await agentOf(name), await programOf(name)];
        await host(name).sh("trigon-agent upgrade", { timeoutMs: 120_000 });
        expect(await agentOf(name)).not.toBe(pid);
        expect(await programOf(name)).not.toBe(program);
        expect(await host(name).sh("find /opt -maxdepth 1 -name '*trigon*'")).toBe("/opt/trigon");
      });
    await step("and a change reaches the upgraded", async () => {
      await save({ realServers: servers({}) });
      await becomes("wrr, 10.2.0.21 1, 10.2.0.22 1, 10.2.0.23 1");
    });
  } finally {
    summaries = await Promise.all(loads.map((load) => load.stop()));
  }
  const [short, long] = summaries as [LoadSummary, LoadSummary];
  console.log(
    `${short.ok} short, ${long.ok} two-second and ${held} held connections: ${short.failed + long.failed} failed, ${short.heldFailed} held ones lost`,
  );
  for (const [name, count] of Object.entries(lost)) console.log(`  ${name}: ${count} lost`);
  expect({ failures: summaries.flatMap(({ failures }) => failures) }).toEqual({ failures: [] });
  expect(short).toMatchObject({ failed: 0, heldFailed: 0 });
  expect(short.ok).toBeGreaterThan(500);
  expect(long.ok).toBeGreaterThan(50);
});
