import { arpHolders, capture, differences, fetchAnswers, type Snapshot, snapshot } from "@trigon/lab";
import { beforeAll, describe, expect, test } from "vitest";
import { applyPlan, fragmentsOf, holds, installAgent, ipvsTable, macOf } from "./agent.ts";
import { useLab } from "./use-lab.ts";

const vip = "10.2.0.100";
const nodes = ["dir1", "rs1", "rs2"] as const;
const dr = fragmentsOf({
  vip,
  forwarding: "dr",
  realServers: [
    { host: "rs1", rip: "10.2.0.21" },
    { host: "rs2", rip: "10.2.0.22" },
  ],
});

describe("a DR service from plan files", { timeout: 300_000 }, () => {
  const lab = useLab();
  const found = new Map<string, Snapshot>();

  beforeAll(async () => {
    // Modules and their fallback devices stay by design: they are there before the snapshot.
    await lab.host("dir1").sh("modprobe ip_vs; modprobe ip_vs_rr", { allowFailure: true });
    for (const node of nodes) found.set(node, await snapshot(lab.host(node)));
    await installAgent(...nodes.map((node) => lab.host(node)));
    for (const node of ["rs1", "rs2"]) await applyPlan(lab.host(node), [dr.realServer(node)]);
    await applyPlan(lab.host("dir1"), [dr.service, dr.vip]);
  }, 300_000);

  test("the kernel holds the service and its destinations, by ipvsadm", async () => {
    expect(await ipvsTable(lab.host("dir1"))).toEqual([
      `-A -t ${vip}:80 -s rr`,
      `-a -t ${vip}:80 -r 10.2.0.21:80 -g -w 1`,
      `-a -t ${vip}:80 -r 10.2.0.22:80 -g -w 1`,
    ]);
  });

  test("the client is answered by both real servers, with its own address intact", async () => {
    const answers = await fetchAnswers(lab.host("client"), `${vip}:80`, { count: 8 });
    expect(answers).toHaveLength(8);
    expect(new Set(answers.map(({ server }) => server))).toEqual(new Set(["rs1", "rs2"]));
    for (const { src, dst } of answers) expect({ src, dst }).toEqual({ src: "10.1.0.10", dst: `${vip}:80` });
  });

  test("exactly one MAC answers for the VIP, the director's", async () => {
    expect(await arpHolders(lab.host("router"), "eth1", vip)).toEqual([await macOf(lab, "dir1")]);
  });

  test("replies carry the VIP as source and pass the director by", async () => {
    const atDirector = await capture(lab.host("dir1"), `tcp and port 80`, "eth0");
    const atServer = await capture(lab.host("rs1"), `tcp and src host ${vip} and src port 80`, "eth0");
    const atRouter = await capture(lab.host("router"), `tcp and src host ${vip} and src port 80`, "eth1");
    await fetchAnswers(lab.host("client"), `${vip}:80`, { count: 4 });
    await atServer.waitFor(/./);
    const [passed, sent, routed] = [await atDirector.stop(), await atServer.stop(), await atRouter.stop()];
    expect(sent.length).toBeGreaterThan(0);
    const macs = [await macOf(lab, "rs1"), await macOf(lab, "rs2")];
    for (const { line } of routed) expect(macs.some((mac) => line.startsWith(mac))).toBe(true);
    expect(passed.length).toBeGreaterThan(0);
    expect(passed.filter(({ line }) => line.includes(`${vip}.80 >`))).toEqual([]);
  });

  test("the bundle needs nothing of its machine but a Node runtime", async () => {
    const script = `set -e; box=$(mktemp -d /srv/box.XXXXXX); node=$(readlink -f "$(command -v node)")
      mkdir -p $box/opt/trigon/node/bin && cp -r /opt/trigon/lib $box/opt/trigon/ && cp "$node" $box/opt/trigon/node/bin/node
      for library in $(ldd "$node" | grep -o '/[^ ]*'); do mkdir -p $box/$(dirname $library); cp -L $library $box/$library; done
      chroot $box /opt/trigon/node/bin/node /opt/trigon/lib/start.cjs status; rm -r $box`;
    expect(await lab.host("rs1").sh(script)).toMatch(/^trigon-agent \d+\.\d+\.\d+, not running/);
  });

  test("a removed service leaves nothing of it on the nodes, and uninstall leaves them as found", async () => {
    await applyPlan(lab.host("dir1"), []);
    expect(await ipvsTable(lab.host("dir1"))).toEqual([]);
    expect(await holds(lab.host("dir1"), vip)).toBe(false);
    await applyPlan(lab.host("dir1"), [dr.service, dr.vip]);
    for (const node of nodes) {
      await lab.host(node).sh("trigon-agent uninstall", { timeoutMs: 120_000 });
      expect(differences(found.get(node)!, await snapshot(lab.host(node)))).toEqual([]);
      expect(
        await lab
          .host(node)
          .sh("ls -d /opt/trigon /var/lib/trigon /usr/local/bin/trigon-agent /etc/trigon 2>/dev/null", { allowFailure: true }),
      ).toBe("");
    }
  });
});
