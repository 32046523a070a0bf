import { kindOfKey, type Resource } from "@trigon/model";
import fc from "fast-check";
import { expect, test } from "vitest";
import { MemoryKernel } from "../test/memory-kernel.ts";
import { make, Node } from "../test/node.ts";
import { buildRank } from "./rank.ts";

// Keys come from a small set, so that fragments and strangers really collide.
const vips = ["192.0.2.10", "192.0.2.11"] as const;
const vip = fc.constantFrom(...vips);
const remote = fc.constantFrom("192.0.2.2", "192.0.2.3");
const rips = fc.uniqueArray(fc.tuple(fc.constantFrom("192.0.2.21", "192.0.2.22", "192.0.2.23"), fc.integer({ min: 0, max: 2 })), {
  selector: ([rip]) => rip,
});

const silence = (ignore: number) => [
  make.atLeast("net/ipv4/conf/all/arp_ignore", ignore),
  make.atLeast("net/ipv4/conf/lo/arp_ignore", ignore),
];
const realServer = fc
  .tuple(vip, fc.integer({ min: 1, max: 2 }))
  .map(([address, ignore]) => [make.vip("lo", address), ...silence(ignore)]);
const tunnel = fc
  .tuple(vip, remote, fc.boolean())
  .map(([address, end, open]) => [
    make.module("ipip"),
    make.linkState("tunl0", false, true),
    make.link("trg-1", end),
    make.value("net/ipv4/conf/trg-1/rp_filter", "2"),
    make.vip("trg-1", "169.254.1.1"),
    make.rule("drop:trg-1", "-i", "trg-1", "-j", "DROP"),
    ...(open ? [make.rule(`accept:trg-1:${address}`, "-d", address, "-j", "RETURN")] : []),
    make.linkState("trg-1", true),
    ...silence(1),
    make.vip("lo", address),
  ]);
const service = fc
  .tuple(vip, fc.constantFrom("rr", "wlc"), rips)
  .map(([address, scheduler, destinations]) => [
    make.module("ip_vs"),
    make.value("net/ipv4/ip_forward", "1"),
    make.service(address, 80, scheduler),
    ...destinations.map(([rip, weight]) => make.destination(address, rip, weight)),
  ]);
const boundVip = vip.map((address) => [make.vip("eth0", address)]);
const fragment = fc.option(fc.oneof(realServer, tunnel, service, boundVip), { nil: null });
const plan = fc.record({ a: fragment, b: fragment, c: fragment });

/** What stands before us: a machine's own settings, and things that strangers made. */
const settings: Resource[] = [
  make.value("net/ipv4/conf/all/arp_ignore", "0"),
  make.value("net/ipv4/conf/lo/arp_ignore", "1"),
  make.value("net/ipv4/ip_forward", "0"),
  make.linkState("tunl0", true),
];
const strangers = fc
  .subarray([
    [make.service(vips[0], 80, "rr"), make.destination(vips[0], "203.0.113.9")],
    [make.service(vips[1], 80, "wlc")],
    [make.link("trg-1", "192.0.2.3"), make.linkState("trg-1", false), make.value("net/ipv4/conf/trg-1/rp_filter", "0")],
    [make.vip("lo", vips[0])],
    [make.rule("drop:trg-1", "-j", "DROP")],
  ])
  .map((groups) => groups.flat());
const world = fc.record({
  strangers,
  first: plan,
  second: plan,
  failAt: fc.integer({ min: 0, max: 30 }),
  crashAt: fc.integer({ min: 0, max: 6 }),
});

const isSetting = (key: string) => ["sysctl", "linkState", "module"].includes(kindOfKey(key));
const stripModules = (held: Iterable<Resource>) =>
  [...held].filter(({ kind }) => kind !== "module").toSorted((a, b) => (a.key < b.key ? -1 : 1));

test("passes converge from any state, whatever one step fails, and a second pass does nothing", async () => {
  await fc.assert(
    fc.asyncProperty(world, async ({ strangers, first, second, failAt }) => {
      const node = new Node(new MemoryKernel([...settings, ...strangers]));
      let count = 0;
      node.kernel.failing = () => (count++ === failAt ? { code: "EPERM", message: "not now" } : undefined);
      await node.put(first);
      await node.put(second);
      node.kernel.failing = () => undefined;
      const { states } = await node.pass("all", [...node.desired.fragmentIds()]);
      for (const { state } of states) expect(["applied", "conflict", "waiting"]).toContain(state);
      node.kernel.log.length = 0;
      await node.pass();
      expect(node.kernel.log).toEqual([]);
    }),
  );
});

test("what strangers made is neither overwritten nor deleted, and once we are gone the machine is as found", async () => {
  await fc.assert(
    fc.asyncProperty(world, async ({ strangers, first, second, failAt }) => {
      const found = [...settings, ...strangers];
      const node = new Node(new MemoryKernel(found));
      let count = 0;
      node.kernel.failing = (action) => {
        const key = action.op === "create" ? action.to.key : action.from.key;
        if (!isSetting(key)) expect(strangers.some((stranger) => stranger.key === key)).toBe(false);
        return count++ === failAt ? { code: "EPERM", message: "not now" } : undefined;
      };
      await node.put(first);
      await node.put(second);
      await node.put({ a: null, b: null, c: null });
      node.kernel.failing = () => undefined;
      await node.pass();
      expect(stripModules(node.kernel.held.values())).toEqual(stripModules(found));
      expect(node.desired.size).toBe(0);
    }),
  );
});

test("a crash between journal and kernel, and a restart with another plan, leave nothing behind", async () => {
  await fc.assert(
    fc.asyncProperty(world, async ({ strangers, first, second, crashAt }) => {
      const found = [...settings, ...strangers];
      const node = new Node(new MemoryKernel(found));
      const apply = node.kernel.apply.bind(node.kernel);
      let calls = 0;
      node.kernel.apply = async (actions) => {
        if (calls++ === crashAt) throw new Error("power cut");
        return apply(actions);
      };
      await node.put(first).catch(() => undefined);
      node.kernel.apply = apply;
      node.restart();
      await node.put(second);
      await node.pass();
      node.kernel.log.length = 0;
      await node.pass();
      expect(node.kernel.log).toEqual([]);
      await node.put({ a: null, b: null, c: null });
      await node.pass();
      expect(stripModules(node.kernel.held.values())).toEqual(stripModules(found));
    }),
  );
});

test("nothing is built before what it stands on, and nothing goes before what replaces it", async () => {
  await fc.assert(
    fc.asyncProperty(world, async ({ strangers, first, second }) => {
      const node = new Node(new MemoryKernel([...settings, ...strangers]));
      await node.put(first);
      const { steps } = await node.put(second);
      const ranks = steps.flatMap(({ step }) => (step.op === "create" || step.op === "update" ? [buildRank(step.to)] : []));
      expect(ranks).toEqual(ranks.toSorted((a, b) => a - b));
      const remade = new Set(steps.flatMap(({ step }) => (step.op === "create" ? [step.to.key] : [])));
      const gone = steps.findIndex(({ step }) => (step.op === "delete" || step.op === "restore") && !remade.has(step.from.key));
      if (gone >= 0) expect(steps.slice(gone).every(({ step }) => step.op === "delete" || step.op === "restore")).toBe(true);
    }),
  );
});
