import { fetchAnswers, until } from "@trigon/lab";
import type { ForeignServiceView, NodeDetailView, NodeView, VirtualServiceView } from "@trigon/model";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ipvsTable } from "./oracles.ts";
import { allSettled, deleteService, patchService, useWorld } from "./use-world.ts";

const vip = "10.2.0.120";
const keyOf = (port: number) => `ipvsService tcp ${vip} ${port}`;

describe("services that somebody made with ipvsadm", { timeout: 180_000 }, () => {
  const world = useWorld();
  const dir1 = () => world.lab.host("dir1");
  let nodePath: string;
  const shown = () => world.api.call<{ data: ForeignServiceView[] }>("GET", `${nodePath}/foreign-services`);
  const decide = (key: string, decision: string) =>
    world.api.call("POST", `${nodePath}/foreign-services/decide`, { key, decision });
  const lines = async (port: number) => (await ipvsTable(dir1())).split("\n").filter((line) => line.includes(`${vip}:${port} `));

  beforeAll(async () => {
    const { data } = await world.api.call<{ data: NodeView[] }>("GET", "/nodes?limit=100");
    nodePath = `/nodes/${data.find(({ name }) => name === "dir1")!.id}`;
    const make = [80, 81, 82].flatMap((port) => [
      `ipvsadm -A -t ${vip}:${port} -s wrr -p 90`,
      `ipvsadm -a -t ${vip}:${port} -r 10.4.0.25:8080 -m -w 3`,
    ]);
    await dir1().sh(
      `modprobe ip_vs_wrr; sysctl -qw net.ipv4.ip_forward=1; ${make.join(" && ")} && ip addr add ${vip}/32 dev eth0`,
    );
    const isShown = async () => (await shown()).data.filter(({ key }) => key.includes(vip)).length === 3;
    await until("the three to be shown", isShown, { deadlineMs: 150_000, everyMs: 500 });
  }, 180_000);
  afterAll(async () => {
    await allSettled(world.api);
    const unmake = [80, 81, 82].map((port) => `ipvsadm -D -t ${vip}:${port}`);
    await dir1().sh(`${unmake.join("; ")}; ip addr del ${vip}/32 dev eth0; sysctl -qw net.ipv4.ip_forward=0`, {
      allowFailure: true,
    });
  });

  test("one that is adopted keeps its state in the kernel, its connections counted on, and obeys from then on", async () => {
    expect(await fetchAnswers(world.lab.host("client"), `${vip}:80`)).toMatchObject([{ server: "rs5" }]);
    const tables = new Set([await ipvsTable(dir1())]);
    const spec = { key: keyOf(80), name: "adopted" };
    const service = await world.api.call<VirtualServiceView>("POST", `${nodePath}/foreign-services/adopt`, spec);
    const isTaken = async () => {
      tables.add(await ipvsTable(dir1()));
      const { events } = await world.api.call<NodeDetailView>("GET", nodePath);
      return events.some(({ kind, key }) => kind === "foreign.taken" && key === keyOf(80));
    };
    await until("the agent to take it over", isTaken, { deadlineMs: 90_000, everyMs: 500 });
    tables.add(await ipvsTable(dir1()));
    expect([...tables]).toHaveLength(1); // the same at every look
    // Conns of the service and of its real server: made anew, they would have begun at 0.
    // The kernel sums its statistics up every two seconds.
    const conns = () => dir1().sh(`ipvsadm -Ln --stats -t ${vip}:80 | awk '/^(TCP|  ->.*:8080)/ { print $3 }'`);
    await until("the connection from before to be counted", async () => (await conns()) === "1\n1", { deadlineMs: 10_000 });
    expect(await fetchAnswers(world.lab.host("client"), `${vip}:80`)).toMatchObject([{ server: "rs5" }]);
    await patchService(world.api, service.id, { realServers: [{ rip: "10.4.0.25", port: 8080, weight: 5 }] });
    await until("the new weight", async () => (await lines(80)).join().includes("-m -w 5"), { deadlineMs: 30_000 });
    await deleteService(world.api, service.id);
    await until("it to be gone", async () => (await lines(80)).length === 0, { deadlineMs: 30_000 });
  });

  test("one that is removed goes, and one that is ignored stays, also as a decision", async () => {
    await decide(keyOf(81), "remove");
    await decide(keyOf(82), "ignore");
    await until("it to be gone", async () => (await lines(81)).length === 0, { deadlineMs: 60_000 });
    expect(await lines(82)).toHaveLength(2);
    const { data } = await shown();
    expect(data.find(({ key }) => key === keyOf(82))).toMatchObject({ decision: "ignore" });
    const { doctor } = await world.api.call<NodeDetailView>("GET", nodePath);
    const named = doctor?.findings.filter(({ check, subject }) => check === "foreignService" && subject.includes(`${vip}:82`));
    expect(named ?? []).toEqual([]);
  });
});
