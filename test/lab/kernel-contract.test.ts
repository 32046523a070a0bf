import { rmSync } from "node:fs";
import { join } from "node:path";
import { arpHolders, capture, differences, type Snapshot, snapshot } from "@trigon/lab";
import { type AddressResource, resourceKey } from "@trigon/model";
import type { Action, ActionResult, AddressHolder } from "@trigon/reconciler";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { kernelContract } from "../contract/kernel.ts";
import type { CaseReport } from "../contract/run-inside.ts";
import { useLab } from "./use-lab.ts";

const lab = useLab();

/** In the lab's state folder, which lies in the checkout: `netlink` is found from there, by lab hosts too. */
let bundle: string;
beforeAll(async () => {
  bundle = join(lab.state, `kernel-contract-${process.pid}.mjs`);
  await build({
    entryPoints: [join(import.meta.dirname, "../contract/run-inside.ts")],
    bundle: true,
    platform: "node",
    format: "esm",
    external: ["netlink"],
    outfile: bundle,
    logLevel: "error",
  });
});
afterAll(() => rmSync(bundle, { force: true }));

async function call<T>(host: string, method: string, ...args: unknown[]): Promise<T> {
  return lab.host(host).json<T>([process.execPath, bundle, "call", method, JSON.stringify(args)]);
}

function vipOn(name: string, address: string, purpose: AddressResource["purpose"]): AddressResource {
  return { kind: "address", key: resourceKey.address(name, address, 32), interface: name, address, prefix: 32, purpose };
}
const create = (to: AddressResource): Action => ({ op: "create", to });

describe("the real kernel", () => {
  const reports = new Map<string, CaseReport>();
  let before: Snapshot;
  let after: Snapshot;

  beforeAll(async () => {
    const director = lab.host("dir1");
    // The filter's tables are made by their first use, and stay: a machine has them from then on.
    await director.sh(
      "for table in raw mangle nat filter; do iptables-legacy -t $table -S; ip6tables-legacy -t $table -S; done >/dev/null",
    );
    before = await snapshot(director);
    const world = {
      interfaceName: "eth0",
      own: "10.2.0.11",
      neighbour: { address: "10.2.0.21", mac: lab.host("rs1").mac("eth0") },
      free: "10.2.0.200",
    };
    const result = await director.exec([process.execPath, bundle, "contract", JSON.stringify(world)], { timeoutMs: 280_000 });
    for (const line of result.stdout.split("\n").filter(Boolean)) {
      const report = JSON.parse(line) as CaseReport;
      reports.set(report.name, report);
    }
    expect(result.stderr).toBe("");
    after = await snapshot(director);
  });

  for (const { name } of kernelContract)
    test(name, () => {
      const report = reports.get(name);
      expect(report, "the case was not run").toBeDefined();
      expect(report?.error).toBeUndefined();
    });

  test("is left as it was found", () => {
    expect(differences(before, after)).toEqual([]);
  });
});

describe("probing and announcing", () => {
  const vip = "10.2.0.150";

  test("a director sees nobody where real servers hold the VIP in ARP silence, and all who answer where they do not", async () => {
    for (const name of ["rs1", "rs2"]) {
      await lab.host(name).sh("sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2");
      expect(await call<ActionResult[]>(name, "apply", [create(vipOn("lo", vip, "vipOnLoopback"))])).toEqual([{ ok: true }]);
    }
    expect(await call<AddressHolder[]>("dir1", "probe", "eth0", vip)).toEqual([]);
    await lab.host("rs2").sh("sysctl -qw net.ipv4.conf.all.arp_ignore=0");
    expect(await call<AddressHolder[]>("dir1", "probe", "eth0", vip)).toEqual([{ mac: lab.host("rs2").mac("eth0") }]);
    await lab.host("rs2").sh("sysctl -qw net.ipv4.conf.all.arp_ignore=1");
  });

  test("a bound VIP is announced to the link, probed for before, and refused to a second director", async () => {
    const heard = await capture(lab.host("rs1"), "arp", "eth0");
    const action = create(vipOn("eth0", vip, "vipOnDirector"));
    expect(await call<ActionResult[]>("dir1", "apply", [action])).toEqual([{ ok: true }]);
    await heard.waitFor(new RegExp(`who-has ${vip} .*tell ${vip}`));
    const packets = await heard.stop();
    const probes = packets.filter(({ line }) => line.includes(`who-has ${vip} `) && line.includes("tell 0.0.0.0"));
    const announcements = packets.filter(({ line }) => line.includes(`who-has ${vip} `) && line.includes(`tell ${vip}`));
    expect(probes.length).toBeGreaterThan(0);
    expect(announcements[0]!.time).toBeGreaterThan(probes.at(-1)!.time);
    expect(announcements.every(({ line }) => line.startsWith(lab.host("dir1").mac("eth0")))).toBe(true);
    expect(await arpHolders(lab.host("router"), "eth1", vip)).toEqual([lab.host("dir1").mac("eth0")]);

    const [refused] = await call<ActionResult[]>("dir2", "apply", [action]);
    expect(refused).toMatchObject({ ok: false, failure: { code: "vip.heldElsewhere" } });
    expect(await lab.host("dir2").sh("ip -br addr show eth0")).not.toContain(vip);
  });

  test("an IPv6 VIP that somebody holds is refused, and a free one is told to the router", async () => {
    const [mine, theirs] = ["2001:db8:2::150", "2001:db8:2::21"];
    await lab.host("router").sh("ip addr add 2001:db8:2::1/64 dev eth1 nodad");
    await lab.host("dir1").sh("ip addr add 2001:db8:2::11/64 dev eth0 nodad && ip -6 route add default via 2001:db8:2::1");
    await lab.host("rs1").sh(`ip addr add ${theirs}/64 dev eth0 nodad`);
    const six = (address: string): AddressResource => ({
      ...vipOn("eth0", address, "vipOnDirector"),
      key: resourceKey.address("eth0", address, 128),
      prefix: 128,
    });
    const heard = await capture(lab.host("router"), "icmp6", "eth1");
    const results = await call<ActionResult[]>("dir1", "apply", [create(six(mine)), create(six(theirs))]);
    expect(results).toMatchObject([{ ok: true }, { ok: false, failure: { code: "vip.heldElsewhere" } }]);
    await heard.waitFor(new RegExp(`${mine} > .*neighbor solicitation, who has 2001:db8:2::1`));
    await heard.stop();
    expect(await lab.host("router").sh(`ip -6 neigh show ${mine}`)).toContain(lab.host("dir1").mac("eth0"));
  });
});
