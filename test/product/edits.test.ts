import { fetchAnswers, startLoad, until } from "@trigon/lab";
import type { VirtualServiceView } from "@trigon/model";
import { beforeAll, describe, expect, test } from "vitest";
import { demoServices } from "../../infra/demo/services.ts";
import { createService, inSync } from "../../infra/demo/world.ts";
import { patchService, useWorld } from "./use-world.ts";

const target = "10.2.0.100:80";
const rate = 60;

describe("edits of a DR service under load", () => {
  const world = useWorld();
  const host = (name: string) => world.lab.host(name);
  let service: VirtualServiceView;

  beforeAll(async () => {
    const input = demoServices.find(({ forwarding }) => forwarding === "dr")!;
    service = await createService(world.api, { ...input, scheduler: "wrr", realServers: input.realServers!.slice(0, 2) });
  });

  /** What `ipvsadm -Sn` says of the service's real servers: `RIP weight`. */
  async function table(): Promise<string[]> {
    const lines = (await host("dir1").sh("ipvsadm -Sn")).split("\n").filter((line) => line.startsWith(`-a -t ${target} `));
    return lines.map((line) => line.replace(/.* -r ([\d.]+):\d+ -g -w (\d+).*/, "$1 $2")).sort();
  }
  const becomes = (expected: string[]) =>
    until(`the table to be ${expected}`, async () => String(await table()) === String(expected), { deadlineMs: 60_000 });
  const activeConnections = async (rip: string) => {
    const line = (await host("dir1").sh("ipvsadm -Ln")).split("\n").find((text) => text.includes(`${rip}:80 `));
    return Number(line?.trim().split(/\s+/).at(-2));
  };
  /** Runs load of short connections around an edit, from before it until the kernel holds it and some more connections came. */
  async function underLoad(edit: () => Promise<void>) {
    const load = await startLoad(host("client"), { targets: [target], rate });
    await edit();
    await fetchAnswers(host("client"), target, { count: 12 });
    return load.stop();
  }
  const realServers = (...weights: [string, number][]) =>
    weights.map(([rip, weight]) => {
      const { id } = service.realServers.find((known) => known.rip === rip) ?? {};
      return { ...(id ? { id } : {}), rip, weight };
    });
  async function edit(...weights: [string, number][]): Promise<void> {
    service = await patchService(world.api, service.id, { realServers: realServers(...weights) });
    await becomes(weights.map(([rip, weight]) => `${rip} ${weight}`).sort());
  }

  test("adding a real server fails no connection, and it takes its share", async () => {
    const { ok, failed, failures } = await underLoad(() => edit(["10.2.0.21", 1], ["10.2.0.22", 1], ["10.2.0.23", 1]));
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
    expect(ok).toBeGreaterThan(rate / 4); // an edit takes less than a second
    const answers = await fetchAnswers(host("client"), target, { count: 6 });
    expect([...new Set(answers.map(({ server }) => server))].sort()).toEqual(["rs1", "rs2", "rs3"]);
  });

  test("changing weights fails no connection, and the new ones hold", async () => {
    const { failed, failures } = await underLoad(() => edit(["10.2.0.21", 1], ["10.2.0.22", 1], ["10.2.0.23", 4]));
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
    const answers = await fetchAnswers(host("client"), target, { count: 12 });
    const byServer = answers.map(({ server }) => server);
    expect(byServer).toHaveLength(12);
    expect(byServer.filter((server) => server === "rs3")).toHaveLength(8);
  });

  test("draining a real server by weight 0 and then removing it fails no connection", async () => {
    const { failed, failures } = await underLoad(async () => {
      await edit(["10.2.0.21", 1], ["10.2.0.22", 1], ["10.2.0.23", 0]);
      await until("rs3 to have no active connection", async () => (await activeConnections("10.2.0.23")) === 0, {
        deadlineMs: 30_000,
      });
      await edit(["10.2.0.21", 1], ["10.2.0.22", 1]);
    });
    expect({ failed, failures }).toEqual({ failed: 0, failures: [] });
    const answers = await fetchAnswers(host("client"), target, { count: 6 });
    expect([...new Set(answers.map(({ server }) => server))].sort()).toEqual(["rs1", "rs2"]);
    await inSync(world.api, service.id);
    expect(await host("rs3").sh("ip -j addr show dev lo")).not.toContain("10.2.0.100");
  });

  test("removing a real server at once resets its held connections, hangs none, and takes no new ones", async () => {
    const load = await startLoad(host("client"), { targets: [target], held: 4 });
    await edit(["10.2.0.21", 1]);
    const gone = await until("the held connections of rs2 to end", () => load.failures.length >= 2 && load.failures, {
      deadlineMs: 30_000,
    });
    for (const { reason, held } of gone) expect({ reason, held }).toEqual({ reason: "ECONNRESET", held: true });
    const answers = await fetchAnswers(host("client"), target, { count: 6 });
    expect([...new Set(answers.map(({ server }) => server))]).toEqual(["rs1"]);
    const { heldFailed } = await load.stop();
    expect(heldFailed).toBe(2);
  });
});
