import { execFileSync, spawnSync } from "node:child_process";
import { expect, test } from "vitest";

// A network namespace of its own, so that no rule of this machine is touched.
const inside = (...command: string[]) => spawnSync("unshare", ["-n", ...command], { encoding: "utf8" });
const canDo = process.getuid?.() === 0 && inside("iptables-nft", "-S").status === 0;
if (!canDo) console.log("not run here: “a rule that iptables-nft makes is announced”; it needs root and a kernel with nftables");

test.runIf(canDo)("a rule that iptables-nft makes is announced", () => {
  const script = `
    import { execFileSync } from "node:child_process";
    import { watchNftables } from "./packages/netlink/src/nftables-monitor.ts";
    const late = setTimeout(() => process.exit(1), 10_000);
    const watch = watchNftables(() => { console.log("heard"); watch.close(); clearTimeout(late); });
    execFileSync("iptables-nft", ["-t", "raw", "-A", "PREROUTING", "-j", "DROP"]);`;
  const program = [process.execPath, "--import", "tsx", "--input-type=module", "-e", script];
  expect(execFileSync("unshare", ["-n", ...program], { encoding: "utf8", timeout: 30_000 })).toBe("heard\n");
});
