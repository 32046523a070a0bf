import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "./until.ts";

/** Start time of a process in clock ticks since boot (field 22 of proc(5) stat); with the pid it names a process for good. */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}

interface Process {
  pid: number;
  startTime: string | undefined;
}

export const isRunning = ({ pid, startTime: since }: Process): boolean => since !== undefined && startTime(pid) === since;

/** Records which process holds the lab's namespaces. */
export function writeStarter(state: string, pid: number): void {
  writeFileSync(join(state, "starter.json"), JSON.stringify({ pid, startTime: startTime(pid) }));
}

/** The process that holds the lab of a state folder, if it still runs. A pid that was given to another process is not it. */
export function readStarter(state: string) {
  const file = join(state, "starter.json");
  if (!existsSync(file)) return undefined;
  const starter: Process = JSON.parse(readFileSync(file, "utf8"));
  if (!isRunning(starter)) return undefined;
  return {
    pid: starter.pid,
    kill: () => process.kill(starter.pid, "SIGKILL"),
    /** It and every process below it. */
    processes: (): Process[] => [starter, ...descendants(starter.pid).map((pid) => ({ pid, startTime: startTime(pid) }))],
  };
}

/** Pids below a process, by /proc. */
export function descendants(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
    } catch {
      // ended while we looked
    }
  }
  const found: number[] = [];
  const queue = [root];
  for (let pid = queue.pop(); pid !== undefined; pid = queue.pop()) {
    const below = children.get(pid) ?? [];
    found.push(...below);
    queue.push(...below);
  }
  return found;
}

export const waitUntilGone = (processes: Process[]) =>
  until("the lab's processes to be gone", () => !processes.some(isRunning), { deadlineMs: 15_000, everyMs: 10 });
