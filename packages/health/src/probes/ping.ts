import { spawn } from "node:child_process";
import { fail, type Probe, type ProbeResult, unable } from "../probe.ts";
import { attempt } from "./attempt.ts";

/** Each ping is a process: no more than so many at a time. */
const mostProcesses = 32;
let running = 0;
const waiting: (() => void)[] = [];

/** ICMP echo by the system's `ping`: Node has no raw sockets. Passes when the machine answers; its services may not. */
export const probeIcmp: Probe = async (target, { timeoutMs }) => {
  if (running >= mostProcesses) await new Promise<void>((resolve) => waiting.push(resolve));
  running++;
  try {
    return await ping(target.rip, timeoutMs);
  } finally {
    running--;
    waiting.shift()?.();
  }
};

function ping(address: string, timeoutMs: number): Promise<ProbeResult> {
  return attempt(timeoutMs, (settle, passed) => {
    const seconds = String(Math.max(1, Math.ceil(timeoutMs / 1000)));
    const child = spawn("ping", ["-n", "-c", "1", "-W", seconds, address], { stdio: "ignore" });
    child.on("error", (error) => settle(unable(`ping could not be started: ${error.message}`)));
    child.on("exit", (code, signal) => {
      if (code === 0) passed();
      else if (code === 1) settle(fail("timeout", "No echo came back"));
      else settle(unable(`ping ended with ${code ?? signal}`));
    });
    return () => child.kill("SIGKILL");
  });
}
