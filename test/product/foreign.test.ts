import { fetchAnswers, until } from "@trigon/lab";
import type { ChangePreview, ForeignServiceView, NodeDetailView, NodeView, VirtualServiceView } from "@trigon/model";
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
    const make = [80, 81, 82, 83].flatMap((port) => [
      `ipvsadm -A -t ${vip}:${port} -s wrr -p 90`,
      `ipvsadm -a -t ${vip}:${port} -r 10.4.0.25:8080 -m -w 3`,
    ]);
    await dir1().sh(
      `modprobe ip_vs_wrr; sysctl -qw net.ipv4.ip_forward=1; ${make.join(" && ")} && ip addr add ${vip}/32 dev eth0`,
    );
    const isShown = async () => (await shown()).data.filter(({ key }) => key.includes(vip)).length === 4;
    await until("the four to be shown", isShown, { deadlineMs: 150_000, everyMs: 500 });
  }, 180_000);
  afterAll(async () => {
    await allSettled(world.api);
    const unmake = [80, 81, 82, 83].map((port) => `ipvsadm -D -t ${vip}:${port}`);
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

  test("one that was adopted can be let go of: it never leaves the kernel, and is a stranger's again", async () => {
    const spec = { key: keyOf(83), name: "let-go" };
    const service = await world.api.call<VirtualServiceView>("POST", `${nodePath}/foreign-services/adopt`, spec);
    const isTaken = async () => (await shown()).data.every(({ key }) => key !== keyOf(83));
    await until("the agent to take it over", isTaken, { deadlineMs: 90_000, everyMs: 500 });
    await allSettled(world.api);
    expect(await fetchAnswers(world.lab.host("client"), `${vip}:83`)).toMatchObject([{ server: "rs5" }]);
    const conns = () => dir1().sh(`ipvsadm -Ln --stats -t ${vip}:83 | awk '/^(TCP|  ->.*:8080)/ { print $3 }'`);
    await until("the connection to be counted", async () => (await conns()) === "1\n1", { deadlineMs: 10_000 });
    const before = await lines(83);
    expect(before).toHaveLength(2);

    const path = `/virtual-services/${service.id}`;
    const preview = await world.api.call<ChangePreview>("POST", `${path}/release?dryRun=true`);
    const [node] = preview.nodes.filter(({ nodeName }) => nodeName === "dir1");
    expect(node!.keeps).toContain(`ipvsadm -A -t ${vip}:83 -s wrr -p 90`);
    expect(node!.steps.flatMap(({ commands }) => commands).filter((line) => /^ip(vsadm)? .*10\.2\.0\.120/.test(line))).toEqual(
      [],
    );
    const bound = dir1().sh(`timeout 60 ip monitor address | grep -m 1 -F ${vip} || true`, { timeoutMs: 70_000 });
    const vanished = dir1().sh(
      `for try in $(seq 60); do ipvsadm -Sn | grep -cF ' ${vip}:83 ' | grep -qx 2 || echo gone; sleep 0.5; done`,
      { timeoutMs: 70_000 },
    );
    await world.api.call("POST", `${path}/release`);
    const isForeign = async () => (await shown()).data.find(({ key }) => key === keyOf(83));
    const back = await until("it to be a stranger's", isForeign, { deadlineMs: 60_000, everyMs: 500 });
    expect(back).toMatchObject({ decision: null, refusal: null });
    await expect(world.api.call("GET", path)).rejects.toThrow();
    // Nothing of it is made anew, and nobody takes it away later: the agent starts again, and looks at everything.
    await dir1().sh("systemctl restart trigon-agent");
    await until("the agent to be back", isForeign, { deadlineMs: 60_000, everyMs: 500 });
    expect(await vanished).toBe("");
    expect(await bound).toBe("");
    expect(await lines(83)).toEqual(before);
    expect(await conns()).toBe("1\n1");
    expect(await fetchAnswers(world.lab.host("client"), `${vip}:83`)).toMatchObject([{ server: "rs5" }]);
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
