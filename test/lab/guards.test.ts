import { differences, type Snapshot, snapshot } from "@trigon/lab";
import { beforeAll, describe, expect, test } from "vitest";
import { installAgent } from "./agent.ts";
import { type Guard, guardNamed, guards } from "./guards/guards.ts";
import { applyServices, nodes } from "./guards/services.ts";
import { useLab } from "./use-lab.ts";

// Set by `npm run test:lab -- --without-guard NAME`: the test of that guard must then fail on what packets show.
const without = process.env.TRIGON_WITHOUT_GUARD ? guardNamed(process.env.TRIGON_WITHOUT_GUARD) : undefined;

describe("guards, each shown by packets", { timeout: 120_000 }, () => {
  const lab = useLab();
  const found = new Map<string, Snapshot>();
  const switchOff = ({ host, switchOff: command }: Guard) => lab.host(host).sh(command);

  beforeAll(async () => {
    // Modules, and the devices and sysctls that come with them, stay by design: they are there before the snapshot.
    await lab.host("dir1").sh("modprobe -a ip_vs ip_vs_rr ip_vs_sh nf_conntrack xt_ipvs ipip; true", { allowFailure: true });
    // Found otherwise than Trigon wants it, so that there is something to put back.
    await lab.host("dir1").sh("sysctl -qw net.ipv4.vs.expire_nodest_conn=1");
    // The greater of this and a device's own counts: what a distribution sets for all would do for a tunnel, too.
    await lab.host("rs4").sh("sysctl -qw net.ipv4.conf.all.rp_filter=0");
    for (const node of nodes) found.set(node, await snapshot(lab.host(node)));
    await installAgent(...nodes.map((node) => lab.host(node)));
    await applyServices(lab);
    if (without) await switchOff(without);
  }, 300_000);

  test.each(guards)("$name", async ({ observe, wanted }) => {
    expect(await observe(lab)).toBe(wanted);
  });

  test.skipIf(without).each(guards)("without $name packets go wrong, and the agent puts it right", async (guard) => {
    await switchOff(guard);
    expect(await guard.observe(lab)).not.toBe(guard.wanted);
    await applyServices(lab, [guard.host]);
    await lab.host("router").sh("ip neigh flush dev eth1"); // what it learned meanwhile
    expect(await guard.observe(lab)).toBe(guard.wanted);
  });

  test.skipIf(without)("uninstall leaves every node as found", async () => {
    for (const node of nodes) {
      await lab.host(node).sh("trigon-agent uninstall", { timeoutMs: 120_000 });
      expect(differences(found.get(node)!, await snapshot(lab.host(node)))).toEqual([]);
    }
  });
});
