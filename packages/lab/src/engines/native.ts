import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
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
  unavailable() {
    if (process.getuid?.() !== 0) return "it needs root";
    return kernelHasIpvs() ? undefined : `kernel ${execFileSync("uname", ["-r"], { encoding: "utf8" }).trim()} has no ip_vs`;
  },
  prepare: () => ({}),
  outerNetwork: () => [],
  command: ({ labd, configuration }) => ({ argv: [labd], env: { LABCFG: configuration } }),
};
