import { until } from "@trigon/lab";
import type { ChangeView, NodeDetailView, NodeView } from "@trigon/model";
import { describe, expect, test } from "vitest";
import { demoServices } from "../../infra/demo/services.ts";
import { createService } from "../../infra/demo/world.ts";
import { ipvsTable } from "./oracles.ts";
import { patchService, useWorld } from "./use-world.ts";

describe("a change that is taken back, and a node that says what is wrong", { timeout: 300_000 }, () => {
  const world = useWorld();
  const host = (name: string) => world.lab.host(name);
  const table = () => ipvsTable(host("dir1"));
  const newest = async (name: string) =>
    (await world.api.call<{ data: ChangeView[] }>("GET", `/changes?limit=1&query=${name}`)).data[0]!;
  const becomes = (expected: string) =>
    until("the kernel's table to be as before", async () => (await table()) === expected, { deadlineMs: 60_000 });

  test("the kernel holds again what it held, after an edit and after the deletion of it all", async () => {
    const input = demoServices.find(({ forwarding }) => forwarding === "dr")!;
    const empty = await table();
    const service = await createService(world.api, input);
    const made = await table();
    expect(made).not.toBe(empty);
    await patchService(world.api, service.id, { scheduler: "wlc", realServers: service.realServers.slice(0, 1) });
    await until("the edit to be in the kernel", async () => (await table()).includes("-s wlc"));
    await world.api.call("POST", `/changes/${(await newest(input.name)).id}/undo`);
    await becomes(made);
    const creation = (await world.api.call<{ data: ChangeView[] }>("GET", `/changes?limit=9&query=${input.name}`)).data.find(
      ({ action, objectId }) => action === "created" && objectId === service.id,
    )!;
    const undone = await world.api.call<ChangeView>("POST", `/changes/${creation.id}/undo`);
    await becomes(empty);
    await until("the outcome of the undo on every node", async () => {
      const { outcomes } = await world.api.call<ChangeView>("GET", `/changes/${undone.id}`);
      return outcomes.some(({ nodeName, state }) => nodeName === "dir1" && state === "inSync");
    });
    await world.api.call("POST", `/changes/${undone.id}/undo`);
    await becomes(made);
  });

  test("a firewall on a real server shows at its node within two looks, and is gone from there when it is gone", async () => {
    const { data } = await world.api.call<{ data: NodeView[] }>("GET", "/nodes?limit=100");
    const { id } = data.find(({ name }) => name === "rs1")!;
    const failing = async () => {
      const { doctor } = await world.api.call<NodeDetailView>("GET", `/nodes/${id}`);
      return doctor?.findings
        .filter(({ check, state }) => check === "firewall" && state === "fail")
        .map(({ subject }) => subject);
    };
    const shows = (expected: string[]) =>
      until(`rs1 to report ${expected.join() || "nothing"}`, async () => String(await failing()) === String(expected), {
        deadlineMs: 140_000,
      });
    await shows([]);
    await host("rs1").sh("iptables-legacy -A INPUT -p tcp --dport 80 -j DROP");
    try {
      await shows(["INPUT 10.2.0.100:80/tcp"]);
    } finally {
      await host("rs1").sh("iptables-legacy -D INPUT -p tcp --dport 80 -j DROP");
    }
    await shows([]);
  });
});
