import type { AgentQuestion } from "@trigon/model";
import type { IpvsConnectionEntry } from "@trigon/reconciler";
import { expect, test } from "vitest";
import { answerTo } from "./answer.ts";
import { connectionTable } from "./connection-table.ts";

const entry = (change: Partial<IpvsConnectionEntry>): IpvsConnectionEntry => ({
  ...{ protocol: "tcp", client: "10.1.0.10", clientPort: 40_000, address: "10.2.0.100", port: 80 },
  ...{ destination: { address: "10.2.0.21", port: 80 }, state: "ESTABLISHED", expiresInSeconds: 900 },
  ...change,
});
const far = { address: "10.2.0.22", port: 80 };
const table = [
  entry({ clientPort: 40_001 }),
  entry({ client: "10.1.0.9", state: "FIN_WAIT", expiresInSeconds: 60 }),
  entry({ client: "10.1.0.9", clientPort: null, state: "NONE", destination: far }),
  entry({ client: "10.7.0.1", destination: far, expiresInSeconds: 5 }),
  entry({ address: "10.2.0.101" }),
  entry({ port: 443 }),
  entry({ protocol: "udp" }),
];
const kernelOf = (entries: readonly IpvsConnectionEntry[]) => ({
  shown: 0,
  async eachConnection(visit: (entry: IpvsConnectionEntry) => "enough" | undefined) {
    entries.some((one) => {
      this.shown++;
      return visit(one) === "enough";
    });
  },
});
const upgrades = { ask: () => Promise.reject(new Error("not asked for")) };
const question = (filter: object = {}, port = 80) =>
  ({
    what: "connections",
    service: { protocol: "tcp", vip: "10.2.0.100", port },
    filter: { sort: { field: "client", descending: false }, limit: 10, ...filter },
  }) as const satisfies AgentQuestion;
const clients = async (filter: object) =>
  (await connectionTable(kernelOf(table), question(filter))).entries.map(({ client, clientPort }) => `${client}:${clientPort}`);

test("a service's own entries are answered in order, with what each real server has", async () => {
  const answer = await connectionTable(kernelOf(table), question());
  expect(answer).toMatchObject({ matched: 4, total: 4, isSample: false });
  expect(answer.entries.map(({ client, clientPort }) => [client, clientPort])).toEqual([
    ["10.1.0.9", null],
    ["10.1.0.9", 40_000],
    ["10.1.0.10", 40_001],
    ["10.7.0.1", 40_000],
  ]);
  expect(answer.realServers).toEqual([
    { rip: "10.2.0.21", port: 80, connections: 2, templates: 0 },
    { rip: "10.2.0.22", port: 80, connections: 1, templates: 1 },
  ]);
  expect(answer.states).toEqual([
    { state: "ESTABLISHED", count: 2 },
    { state: "FIN_WAIT", count: 1 },
  ]);
  expect((await connectionTable(kernelOf(table), question({}, 0))).total).toBe(5); // for all ports
});

test("filters, orders and the limit are kept", async () => {
  expect(await clients({ client: "10.1.0.9/32" })).toEqual(["10.1.0.9:null", "10.1.0.9:40000"]);
  expect(await clients({ client: "10.1.0.0/24", templates: false })).toEqual(["10.1.0.9:40000", "10.1.0.10:40001"]);
  expect(await clients({ realServer: "10.2.0.22", templates: true })).toEqual(["10.1.0.9:null"]);
  expect(await clients({ realServer: "10.2.0.22", realServerPort: 81 })).toEqual([]);
  expect(await clients({ state: "FIN_WAIT" })).toEqual(["10.1.0.9:40000"]);
  expect(await clients({ sort: { field: "expires", descending: false }, limit: 2 })).toEqual([
    "10.7.0.1:40000",
    "10.1.0.9:40000",
  ]);
  expect(await clients({ sort: { field: "realServer", descending: true }, limit: 1 })).toEqual(["10.7.0.1:40000"]);
});

test("a table that is too long is read in part, and the answer says so", async () => {
  const kernel = kernelOf(table);
  const answer = await connectionTable(kernel, question(), { sampled: 2, mostMs: 1_000 });
  expect(answer).toMatchObject({ total: 2, matched: 2, isSample: true });
  expect(kernel.shown).toBe(3);
  expect(await connectionTable(kernelOf(table), question(), { sampled: 100, mostMs: -1 })).toMatchObject({
    total: 0,
    isSample: true,
  });
});

test("a question of a younger controller is answered with a problem, and so is a kernel that fails", async () => {
  expect(await answerTo({ what: "weather" }, { kernel: kernelOf([]), upgrades })).toEqual({
    problem: expect.stringContaining("does not know"),
  });
  const failing = { eachConnection: () => Promise.reject(new Error("EACCES: not yours")) };
  expect(await answerTo(question(), { kernel: failing, upgrades })).toEqual({ problem: "EACCES: not yours" });
});
