import type { ProbeResult, Target } from "@trigon/health";
import type { PathDestination, VipCheckPort } from "@trigon/kernel";
import { type ActiveCheck, type Facts, HealthCheck, vipCheck } from "@trigon/model";
import { expect, test } from "vitest";
import { VipChecks } from "./vip-checks.ts";

const facts = {
  interfaces: [{ name: "eth0", mac: null, mtu: 1500, up: true, addresses: [{ address: "10.2.0.11", prefix: 24 }] }],
  routes: [],
} as unknown as Facts;
const check = HealthCheck.parse({ kind: "tcp", target: "vip" }) as ActiveCheck;
const passed: ProbeResult = { outcome: "pass", latencyMs: 1 };
/** An address of this machine in the place of the VIP. */
const through = { vip: "127.0.0.1", forwarding: "dr", encapsulation: "ipip" } as const;
const targetOf = (rip: string, change: object = {}): Target => ({ rip, port: 80, through: { ...through, ...change } });

/** What was done, in its order. */
function begin(aim?: VipCheckPort["aim"]) {
  const done: string[] = [];
  const port: VipCheckPort = {
    aim:
      aim ??
      (async ({ address, forward }: PathDestination, connect) => {
        done.push(`aim ${forward} ${address}`);
        await connect();
        done.push("away");
      }),
    close: async () => undefined,
  };
  const asked: Target[] = [];
  const probe = async (target: Target) => {
    asked.push(target);
    done.push(`probe ${target.rip}`);
    return passed;
  };
  return { checks: new VipChecks({ facts: () => facts, port, probe }), done, asked };
}

test("a probe of the RIP is made as ever", async () => {
  const { checks, done } = begin();
  expect(await checks.probe({ rip: "10.2.0.21", port: 80 }, check)).toEqual(passed);
  expect(done).toEqual(["probe 10.2.0.21"]);
});

test("a probe of the VIP begins while the kernel sends it to its real server, from ports that no other way has", async () => {
  const { checks, done, asked } = begin();
  for (const rip of ["10.2.0.21", "10.2.0.22", "10.2.0.21", "10.2.0.21"]) await checks.probe(targetOf(rip), check);
  await checks.probe(targetOf("10.2.0.21", { forwarding: "tun" }), check);
  expect(done.slice(0, 3)).toEqual(["aim droute 10.2.0.21", "probe 10.2.0.21", "away"]);
  expect(done.at(-3)).toBe("aim tunnel 10.2.0.21");
  const first = vipCheck.firstPort;
  expect(asked.map(({ through }) => through!.from)).toEqual(
    [0, 2, 1, 0, 4].map((offset) => ({ address: "10.2.0.11", port: first + offset })),
  );
});

test.each([
  ["by NAT", targetOf("10.2.0.21", { forwarding: "nat" })],
  ["of a VIP that is not here", targetOf("10.2.0.21", { vip: "192.0.2.77" })],
])("a probe %s counts for nothing", async (_what, target) => {
  const { checks, done } = begin();
  expect(await checks.probe(target, check)).toMatchObject({ outcome: "unable" });
  expect(done).toEqual([]);
});

test("a kernel that takes no destination is no fault of the real server's", async () => {
  const { checks } = begin(() => Promise.reject(new Error("ESRCH")));
  expect(await checks.probe(targetOf("10.2.0.21"), check)).toMatchObject({ outcome: "unable" });
});

test("ports are not lent out again while the kernel may remember them", async () => {
  const { checks } = begin();
  const pairs = (vipCheck.lastPort - vipCheck.firstPort + 1) / 2;
  for (let at = 0; at < pairs; at++)
    expect((await checks.probe(targetOf(`10.2.${at >> 8}.${at & 255}`), check)).outcome).toBe("pass");
  expect(await checks.probe(targetOf("10.2.9.9"), check)).toMatchObject({ outcome: "unable" });
});
