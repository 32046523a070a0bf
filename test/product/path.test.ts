import { until } from "@trigon/lab";
import type { PathView, VirtualServiceInput, VirtualServiceView } from "@trigon/model";
import { expect, test } from "vitest";
import { demoServices } from "../../infra/demo/services.ts";
import { createService } from "../../infra/demo/world.ts";
import { ipvsTable, isOfProbes } from "./oracles.ts";
import { useWorld } from "./use-world.ts";

const world = useWorld();
const host = (name: string) => world.lab.host(name);
const pathsOf = async (id: string) => (await world.api.call<{ data: PathView[] }>("GET", `/virtual-services/${id}/paths`)).data;

test("the way to every real server of every forwarding is proved, and no service counts the probes", async () => {
  const services: VirtualServiceView[] = [];
  for (const input of demoServices) services.push(await createService(world.api, input));
  for (const { id, name, realServers } of services) {
    const areProved = async () => {
      const paths = await pathsOf(id);
      return paths.length === realServers.length && paths.every(({ state }) => state === "proved");
    };
    await until(`the paths of ${name} to be proved`, areProved, { deadlineMs: 90_000, everyMs: 500 }).catch(async (error) => {
      throw new Error(`${(error as Error).message}: ${JSON.stringify(await pathsOf(id))}`);
    });
  }
  const lines = (await host("dir1").sh("ipvsadm -Ln --stats --exact")).split("\n");
  const connections = (line: string) => Number(line.trim().split(/\s+/)[2]);
  for (const { vip } of demoServices) {
    // NAT's own health checks go to the RIP too: none of what is seen here is a client's.
    expect(connections(lines.find((line) => line.startsWith(`TCP  ${vip}:80`))!)).toBe(0);
  }
  expect(connections(lines.find((line) => line.startsWith("FWM  21586"))!)).toBeGreaterThan(0);
  // What `conntrack=1` of full NAT and the rules that keep the other services out of it do to probes is proved by the states above.
  expect(await host("dir1").sh("sysctl -n net.ipv4.vs.conntrack")).toBe("1");
});

test("a path that fails is told with its step and its fix, and takes no traffic away", async () => {
  const { id } = (await world.api.call<{ data: VirtualServiceView[] }>("GET", "/virtual-services?query=web-dr")).data.find(
    ({ name }) => name === "web-dr",
  )!;
  const before = await ipvsTable(host("dir1"));
  const rule = "INPUT -d 10.2.0.100/32 -p tcp -m tcp --dport 80 -j DROP";
  await host("rs2").sh(`iptables-legacy -A ${rule}`);
  const failing = await until(
    "the path to rs2 to fail at its firewall",
    async () => (await pathsOf(id)).find(({ cause }) => cause === "realServer.firewall"),
    { deadlineMs: 150_000, everyMs: 500 },
  );
  expect(failing).toMatchObject({ state: "failed", step: "answered" });
  expect(failing.message).toContain("10.2.0.22");
  expect(failing.fix).toContain("10.2.0.100:80");
  expect(await host("rs2").sh("iptables-legacy-save -c | grep -- '--dport 80 -j DROP'")).toMatch(/^\[[1-9]/);
  expect(await ipvsTable(host("dir1"))).toBe(before);
  await host("rs2").sh(`iptables-legacy -D ${rule}`);
  await until("all paths to be proved", async () => (await pathsOf(id)).every(({ state }) => state === "proved"), {
    deadlineMs: 90_000,
    everyMs: 500,
  });
});

test("a listener that vanishes is probed at once, however rarely it is checked", async () => {
  const input: VirtualServiceInput = {
    name: "hinted",
    vip: "10.2.0.109",
    port: 8080,
    forwarding: "dr",
    realServers: [{ rip: "10.2.0.21" }, { rip: "10.2.0.22" }],
    health: { check: { kind: "tcp", intervalMs: 60_000, fastIntervalMs: 500, timeoutMs: 400, rise: 1, fall: 2 } },
  };
  const listen = (name: string) =>
    host(name).detach(["python3", "-m", "http.server", "--bind", "0.0.0.0", "8080"], { log: "/run/hinted.log" });
  const pids = { rs1: await listen("rs1"), rs2: await listen("rs2") };
  await createService(world.api, input);
  const weights = async () =>
    (await host("dir1").sh("ipvsadm -Sn"))
      .split("\n")
      .filter((line) => line.startsWith("-a -t 10.2.0.109:8080 "))
      .map((line) => line.replace(/.* -r ([\d.]+):\d+ -g -w (\d+).*/, "$1=$2"))
      .sort()
      .join(" ");
  const become = (wanted: string, deadlineMs: number) =>
    until(`the weights to be ${wanted}`, async () => (await weights()) === wanted, { deadlineMs });
  await become("10.2.0.21=1 10.2.0.22=1", 60_000);
  // The first checks of a new service come within its first seconds; the next a minute later.
  await until(
    "both to be up",
    async () => {
      const view = await world.api.call<{ data: VirtualServiceView[] }>("GET", "/virtual-services?query=hinted");
      return view.data[0]?.status.health?.realServers.every(({ verdict }) => verdict === "up");
    },
    { deadlineMs: 30_000, everyMs: 200 },
  );
  await host("rs1").sh(`kill ${pids.rs1}`);
  await become("10.2.0.21=0 10.2.0.22=1", 30_000);
  pids.rs1 = await listen("rs1");
  await become("10.2.0.21=1 10.2.0.22=1", 40_000);
  for (const [name, pid] of Object.entries(pids)) await host(name).sh(`kill ${pid}`);
});

test("probes leave nothing behind when their services go", async () => {
  const { data } = await world.api.call<{ data: VirtualServiceView[] }>("GET", "/virtual-services");
  for (const { id } of data) await world.api.call("DELETE", `/virtual-services/${id}`, undefined, { "If-Match": "*" });
  const isClean = async () => {
    const table = (await host("dir1").sh("ipvsadm -Sn")).split("\n").filter(isOfProbes);
    const rules = await host("dir1").sh("iptables-legacy-save | grep -c path-", { allowFailure: true });
    return table.length === 0 && rules === "0" && (await host("dir1").sh("sysctl -n net.ipv4.conf.eth0.accept_local")) === "0";
  };
  await until("dir1 to hold nothing of probes", isClean, { deadlineMs: 60_000, everyMs: 500 });
});
