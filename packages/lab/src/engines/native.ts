import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { release } from "node:os";
import type { Engine } from "./engine.ts";

function kernelHasIpvs(): boolean {
  if (existsSync("/proc/net/ip_vs") || existsSync("/sys/module/ip_vs")) return true;
  try {
    execFileSync("modprobe", ["-n", "-q", "ip_vs"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Network namespaces of the machine's own kernel. */
export const native: Engine = {
  name: "native",
  unavailable: () => (process.getuid?.() === 0 ? undefined : "it needs root"),
  withoutIpvs: () => (kernelHasIpvs() ? undefined : `the kernel ${release()} has no ip_vs`),
  prepare: () => ({}),
  outerNetwork: () => [],
  command: ({ labd, configuration }) => ({ argv: [labd], env: { LABCFG: configuration } }),
};
