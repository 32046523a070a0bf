import { resourceKey } from "@trigon/model";
import { expect, test } from "vitest";
import { MemoryKernel } from "../test/memory-kernel.ts";
import { make, Node } from "../test/node.ts";

const vip = "192.0.2.10";
const silence = [make.atLeast("net/ipv4/conf/all/arp_ignore", 1), make.atLeast("net/ipv4/conf/lo/arp_ignore", 1)];
const noisy = ["all", "lo"].map((name) => make.value(`net/ipv4/conf/${name}/arp_ignore`, "0"));
const onLoopback = make.vip("lo", vip);
const service = make.service(vip);
const first = make.destination(vip, "192.0.2.21");
const second = make.destination(vip, "192.0.2.22");

test("ARP is silenced before the VIP is bound, and given back after it is unbound", async () => {
  const node = new Node(new MemoryKernel(noisy));
  await node.put({ "rs:1": [onLoopback, ...silence] });
  expect(node.kernel.log).toEqual([`update ${silence[0]!.key}`, `update ${silence[1]!.key}`, `create ${onLoopback.key}`]);
  node.kernel.log.length = 0;
  await node.put({ "rs:1": null });
  expect(node.kernel.log[0]).toBe(`delete ${onLoopback.key}`);
  expect([...node.kernel.held.values()]).toEqual(noisy);
  expect(node.ledger.size).toBe(0);
});

test("a VIP whose ARP silence failed is not bound, and the fragment says which step failed", async () => {
  const node = new Node(new MemoryKernel(noisy));
  node.kernel.failing = (action) =>
    action.op === "update" && action.to.kind === "sysctl" ? { code: "EPERM", message: "not permitted" } : undefined;
  const { states } = await node.put({ "rs:1": [onLoopback, ...silence] });
  expect(node.kernel.held.has(onLoopback.key)).toBe(false);
  expect(states).toMatchObject([{ id: "rs:1", state: "failed", reason: "EPERM", message: "not permitted" }]);
});

test("a director binds its VIP after the services, and not while none of them stands", async () => {
  const node = new Node();
  const bound = make.vip("eth0", vip);
  node.kernel.failing = (action) =>
    action.op === "create" && action.to.key === service.key ? { code: "ENOENT", message: "no scheduler" } : undefined;
  const failed = await node.put({ "dv:1": [bound], "ds:1": [service, first] });
  expect(node.kernel.held.size).toBe(0);
  expect(node.ledger.size).toBe(0);
  expect(new Map(failed.states.map(({ id, state }) => [id, state]))).toEqual(
    new Map([
      ["dv:1", "waiting"],
      ["ds:1", "failed"],
    ]),
  );
  node.kernel.failing = () => undefined;
  node.kernel.log.length = 0;
  const { states } = await node.pass();
  expect(node.kernel.log).toEqual([`create ${service.key}`, `create ${first.key}`, `create ${bound.key}`]);
  expect(states.every(({ state }) => state === "applied")).toBe(true);
});

test("one failed destination fails its own fragment only", async () => {
  const node = new Node();
  const other = make.service(vip, 81);
  node.kernel.failing = (action) =>
    action.op === "create" && action.to.key === first.key ? { code: "EINVAL", message: "bad" } : undefined;
  const { states } = await node.put({ "ds:1": [service, first, second], "ds:2": [other] });
  expect(states.map(({ id, state }) => `${id} ${state}`)).toEqual(["ds:1 failed", "ds:2 applied"]);
  expect(node.kernel.held.has(second.key)).toBe(true);
});

test("a second pass over the same plan does nothing", async () => {
  const node = new Node(new MemoryKernel(noisy));
  await node.put({ "rs:1": [onLoopback, ...silence], "ds:1": [service, first] });
  const journalled = node.entries.length;
  expect((await node.pass()).steps).toEqual([]);
  expect(node.entries.length).toBe(journalled);
});

test("a foreign service of the same key is a conflict: it is neither overwritten, nor given real servers, nor deleted", async () => {
  const foreign = [make.service(vip, 80, "rr"), make.destination(vip, "203.0.113.9")];
  const node = new Node(new MemoryKernel(foreign));
  const { states, conflicts } = await node.put({ "ds:1": [service, first] });
  expect(states).toMatchObject([{ id: "ds:1", state: "conflict", reason: "kernel.foreign" }]);
  expect(conflicts.map(({ key }) => key)).toEqual([service.key, first.key]);
  await node.put({ "ds:1": null });
  expect([...node.kernel.held.values()]).toEqual(foreign);
});

test("a destination that somebody puts into our service is drift, and goes", async () => {
  const node = new Node();
  await node.put({ "ds:1": [service, first] });
  await node.kernel.apply([
    { op: "create", to: second },
    { op: "delete", from: first },
  ]);
  const { drift } = await node.pass();
  expect(drift).toMatchObject([
    { key: first.key, observed: null, isRepaired: true },
    { key: second.key, wanted: null, isRepaired: true },
  ]);
  expect([...node.kernel.held.keys()]).toEqual([service.key, first.key]);
});

test("a change of the plan is no drift", async () => {
  const node = new Node();
  await node.put({ "ds:1": [service, first] });
  expect((await node.put({ "ds:1": [service, make.destination(vip, "192.0.2.21", 5)] })).drift).toEqual([]);
  expect((await node.put({ "ds:1": [service] })).drift).toEqual([]);
});

test("intents are journalled before the kernel is touched, so a crash in between loses no ownership", async () => {
  const node = new Node();
  const crash = new Error("power cut");
  node.kernel.apply = async () => {
    node.kernel.held.set(service.key, service);
    throw crash;
  };
  await expect(node.put({ "ds:1": [service] })).rejects.toBe(crash);
  node.restart();
  Reflect.deleteProperty(node.kernel, "apply");
  await node.pass();
  expect(node.kernel.held.size).toBe(0);
});

test("a device that changes its ends is made anew with address, sysctl and state", async () => {
  const node = new Node();
  const device = (remote: string) => [
    make.link("trg-1", remote),
    make.value("net/ipv4/conf/trg-1/rp_filter", "2"),
    make.vip("trg-1", "169.254.1.1"),
    make.rule("drop:trg-1", "-i", "trg-1", "-j", "DROP"),
    make.linkState("trg-1", true),
  ];
  await node.put({ "rs:1": device("192.0.2.2") });
  expect(node.kernel.log.map((line) => line.split(" ").slice(0, 2).join(" "))).toEqual([
    "create link",
    "create sysctl",
    "create address",
    "create filterRule",
    "create linkState",
  ]);
  const { states } = await node.put({ "rs:1": device("192.0.2.3") });
  expect(states).toMatchObject([{ state: "applied" }]);
  expect(node.kernel.held.get("link trg-1")).toMatchObject({ remote: "192.0.2.3" });
  expect(node.kernel.held.get(resourceKey.linkState("trg-1"))).toMatchObject({ up: true });
  await node.put({ "rs:1": null });
  expect(node.kernel.held.size).toBe(0);
  expect(node.ledger.size).toBe(0);
});

test("somebody else's device of our name is left alone, address, state and all", async () => {
  const foreign = [make.link("trg-1", "203.0.113.9"), make.linkState("trg-1", false)];
  const node = new Node(new MemoryKernel(foreign));
  const { states } = await node.put({
    "rs:1": [make.link("trg-1", "192.0.2.2"), make.vip("trg-1", "169.254.1.1"), make.linkState("trg-1", true)],
  });
  expect(states).toMatchObject([{ state: "conflict" }]);
  expect([...node.kernel.held.values()]).toEqual(foreign);
});

test("an optional setting that this kernel lacks fails nothing", async () => {
  const node = new Node();
  const optional = { ...make.value("net/ipv4/vs/conn_reuse_mode", "1"), ifPresent: true } as const;
  node.kernel.failing = () => ({ code: "ENOENT", message: "no such file" });
  const { states } = await node.put({ "ds:1": [optional] });
  expect(states).toMatchObject([{ state: "applied" }]);
  expect(node.ledger.size).toBe(0);
});

test("a fragment is reported again when another's trouble with a shared key begins and ends", async () => {
  const node = new Node();
  await node.put({ "a:1": [make.value("net/ipv4/ip_forward", "1")] });
  const { states } = await node.put({ "b:2": [make.value("net/ipv4/ip_forward", "0")] });
  expect(states.find(({ id }) => id === "b:2")).toMatchObject({ state: "conflict", reason: "plan.conflict" });
  const after = await node.put({ "a:1": null });
  expect(after.states).toMatchObject([{ id: "b:2", state: "applied" }]);
  expect(node.kernel.held.get("sysctl net/ipv4/ip_forward")).toMatchObject({ value: "0" });
});
