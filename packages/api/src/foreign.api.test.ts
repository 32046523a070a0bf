import { resourceKey } from "@trigon/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestFleet, factsOf, type TestAgent, type TestFleet } from "./testing/fleet.ts";

let fleet: TestFleet;
let director: TestAgent;
beforeAll(async () => {
  fleet = await createTestFleet();
  ({ director } = await fleet.enrollPair());
});
afterAll(() => fleet.close());

const rowsOf = (port: number, scheduler = "wrr") => {
  const key = resourceKey.ipvsService("tcp", "192.0.2.99", port);
  const service = { kind: "ipvsService", key, protocol: "tcp", address: "192.0.2.99", port, scheduler, netmask: 32 };
  const destination = { kind: "ipvsDestination", key: resourceKey.ipvsDestination(key, "192.0.2.77", 8080), service: key };
  const more = {
    address: "192.0.2.77",
    port: 8080,
    forward: "masq",
    weight: 7,
    upperThreshold: 20,
    lowerThreshold: 10,
    tunnelType: "ipip",
  };
  const text = `-A -t 192.0.2.99:${port} -s ${scheduler} -p 60`;
  return [
    { key, desired: null, observed: text, state: "foreign", resource: { ...service, flags: ["persistent"], timeoutSeconds: 60 } },
    { key: destination.key, desired: null, observed: "-a", state: "foreign", resource: { ...destination, ...more } },
  ] as const;
};
const keyOf = (port: number) => resourceKey.ipvsService("tcp", "192.0.2.99", port);
const show = (...ports: number[]) => {
  const rows = ports.flatMap((port) => rowsOf(port));
  const finding = { check: "foreignService", state: "warn", wanted: "", why: "", command: "" } as const;
  const findings = ports.map((port) => ({ ...finding, subject: rowsOf(port)[0].observed, observed: "" }));
  return director.report({
    table: { rows: rows.map((row) => ({ ...row })), total: rows.length },
    doctor: { at: new Date().toISOString(), findings },
  });
};
const audited = (event: string) =>
  fleet.database.sql(`SELECT actor, "objectId", detail FROM "auditEvent" WHERE event = 'foreignService.${event}'`);
const id = () => director.nodeId;

test("foreign services are shown with what they hold", async () => {
  expect((await show(80, 81, 82)).foreign).toBeUndefined();
  const { data } = await fleet.caller.node.foreign({ id: id() });
  expect(data.map(({ key }) => key)).toEqual([80, 81, 82].map(keyOf));
  expect(data[0]).toMatchObject({ text: "-A -t 192.0.2.99:80 -s wrr -p 60", realServers: ["-a"], decision: null, refusal: null });
});

test("one that is ignored is remembered, and no finding any more", async () => {
  const { data } = await fleet.caller.node.decideForeign({ id: id(), spec: { key: keyOf(80), decision: "ignore" } });
  expect(data.map(({ decision }) => decision)).toEqual(["ignore", null, null]);
  const subjects = (await fleet.caller.node.get({ id: id() })).doctor!.findings.flatMap(({ check, subject }) =>
    check === "foreignService" ? subject : [],
  );
  expect(subjects).toEqual(["-A -t 192.0.2.99:81 -s wrr -p 60", "-A -t 192.0.2.99:82 -s wrr -p 60"]);
  expect(await audited("ignored")).toMatchObject([{ objectId: id(), detail: { service: keyOf(80) } }]);
});

test("one that is to be removed is told to the agent until it is gone", async () => {
  await fleet.caller.node.decideForeign({ id: id(), spec: { key: keyOf(81), decision: "remove" } });
  expect((await show(80, 81, 82)).foreign).toEqual({ adopt: [], remove: [keyOf(81)] });
  await show(80, 82);
  expect((await show(80, 81, 82)).foreign).toBeUndefined(); // it came back: another's
  expect(await audited("removed")).toMatchObject([{ objectId: id(), detail: { service: keyOf(81) } }]);
});

test("the dry run of an adoption makes no service anew, says what else would be done, and does none of it", async () => {
  const spec = { key: keyOf(82), name: "old-shop" };
  const preview = await fleet.caller.node.preview({ id: id(), action: "adoptForeign", spec });
  expect(preview).toMatchObject({ dryRun: true, before: null, after: { name: "old-shop", vip: "192.0.2.99", port: 82 } });
  const [node] = preview.nodes.filter(({ nodeId }) => nodeId === id());
  expect(node).toMatchObject({ problems: [] });
  const commands = node!.steps.flatMap((step) => step.commands);
  // The firewall-mark service is the one by which paths are proved.
  expect(commands.filter((line) => line.startsWith("ipvsadm"))).toEqual(["ipvsadm -A -f 21586 -s rr"]);
  expect(commands).toContain("ip addr add 192.0.2.99/32 dev eth0");
  expect((await fleet.caller.node.foreign({ id: id() })).data.map(({ decision }) => decision)).toEqual(["ignore", null, null]);
  expect((await fleet.caller.virtualService.list({})).data).toEqual([]);
  expect(await audited("adopted")).toEqual([]);
});

test("one that is adopted becomes a virtual service that means the very same to the kernel", async () => {
  const service = await fleet.caller.node.adoptForeign({ id: id(), spec: { key: keyOf(82), name: "old-shop" } });
  expect(service).toMatchObject({
    ...{ name: "old-shop", vip: "192.0.2.99", port: 82, forwarding: "nat", scheduler: "wrr" },
    persistence: { timeoutSeconds: 60, granularity: 32 },
    realServers: [{ rip: "192.0.2.77", port: 8080, weight: 7, upperThreshold: 20, lowerThreshold: 10 }],
  });
  const plan = await director.fetch();
  expect(plan.fragments.find(({ kind }) => kind === "director.service")).toMatchObject({
    scheduler: "wrr",
    destinations: [{ rip: "192.0.2.77", port: 8080, weight: 7 }],
  });
  expect((await show(80)).foreign).toEqual({ adopt: [keyOf(82)], remove: [] });
  expect(await audited("adopted")).toHaveLength(1);
});

test("one that was adopted is let go of, if its agent can: the plan says so to whoever had it, now and when it asks anew", async () => {
  const [service] = (await fleet.caller.virtualService.list({})).data;
  const { caller } = fleet;
  const of = { id: service!.id };
  expect((await caller.virtualService.adoption(of)).data).toMatchObject({
    nodeId: id(),
    refusal: expect.stringMatching(/too old/),
  });
  await expect(caller.virtualService.release(of)).rejects.toThrow(/too old/);
  await director.report({ facts: { ...factsOf("lb-1", "192.0.2.2"), takes: ["released"] } });
  expect((await caller.virtualService.adoption(of)).data).toMatchObject({ refusal: null });
  const preview = await caller.virtualService.preview({ action: "release", ...of });
  const [node] = preview.nodes.filter(({ nodeId }) => nodeId === id());
  expect(node!.keeps).toContain("ipvsadm -A -t 192.0.2.99:82 -s wrr -p 60");
  // Rules that close the VIP go, as they were not there before the adoption.
  const undone = node!.steps.flatMap(({ commands }) => commands).filter((line) => line.includes("192.0.2.99"));
  expect(undone.every((line) => line.startsWith("iptables "))).toBe(true);
  expect((await caller.virtualService.list({})).data).toHaveLength(1);

  await caller.virtualService.release(of);
  expect((await caller.virtualService.list({})).data).toEqual([]);
  const ids = [`ds:${of.id}`, "dv:192.0.2.99"];
  const step = await director.fetch();
  expect(step).toMatchObject({ released: expect.arrayContaining(ids), tombstones: expect.arrayContaining(ids) });
  const whole = await director.api.agents.planFor(id(), null);
  expect(whole).toMatchObject({ since: null, released: expect.arrayContaining(ids) });
  expect(await fleet.database.sql(`SELECT actor FROM "auditEvent" WHERE event = 'virtualService.released'`)).toHaveLength(1);
  const { data: changes } = await caller.change.list({ query: "old-shop" });
  await expect(caller.change.undo({ id: changes[0]!.id })).rejects.toThrow(/released.*Adopt it again/);
  // Adopted anew it is another virtual service, and nothing of it is let go of.
  await director.report({ table: { rows: rowsOf(82).map((row) => ({ ...row })), total: 2 } });
  await caller.node.adoptForeign({ id: id(), spec: { key: keyOf(82), name: "old-shop" } });
  expect((await director.fetch()).released).toBeUndefined();
  const [again] = (await caller.virtualService.list({})).data;
  const { vip, port } = again!;
  const own = await caller.virtualService.create({
    spec: { name: "never-a-strangers", vip, port: port + 100, forwarding: "nat" },
  });
  await expect(caller.virtualService.release({ id: own.id })).rejects.toThrow(/was not adopted/);
  await caller.virtualService.delete({ id: own.id, revision: "*" });
});

test("taking an adoption back is refused, since it would take the service out of the kernel; deleting it is not", async () => {
  const [service] = (await fleet.caller.virtualService.list({})).data;
  const { data: changes } = await fleet.caller.change.list({ query: "old-shop" });
  await expect(fleet.caller.change.undo({ id: changes[0]!.id })).rejects.toThrow(/old-shop stood on .* before it was adopted/);
  expect((await fleet.caller.virtualService.list({})).data).toHaveLength(1);
  await fleet.caller.virtualService.delete({ id: service!.id, revision: "*" });
  expect(await fleet.database.sql(`SELECT key FROM "foreignDecision" WHERE decision = 'adopt'`)).toEqual([]);
  // What is made anew under the same address was never a stranger's.
  const { name, vip, port } = service!;
  await fleet.caller.virtualService.create({ spec: { name, vip, port, forwarding: "nat" } });
  const { data } = await fleet.caller.change.list({ query: "old-shop" });
  await fleet.caller.change.undo({ id: data[0]!.id });
  expect((await fleet.caller.virtualService.list({})).data).toEqual([]);
});

test("an unknown service and one that no virtual service can be are refused", async () => {
  await expect(fleet.caller.node.decideForeign({ id: id(), spec: { key: keyOf(9), decision: "remove" } })).rejects.toThrow(
    /no.*9|not report/,
  );
  const [service, destination] = rowsOf(83, "custom");
  await director.report({ table: { rows: [{ ...service }, { ...destination }], total: 2 } });
  await expect(fleet.caller.node.adoptForeign({ id: id(), spec: { key: keyOf(83), name: "x" } })).rejects.toThrow(/custom/);
});
