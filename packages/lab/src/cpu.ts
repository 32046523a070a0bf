import { readdirSync, readFileSync } from "node:fs";

/** CPU numbers of a list as /proc prints it: "0-2,5". */
export function parseCpuList(list: string): number[] {
  return list.split(",").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, offset) => first + offset);
  });
}

const allowedCpus = (status: string) => /^Cpus_allowed_list:\s*(.*)$/m.exec(status)![1]!;

/** Of the CPUs this process may use, the one with the fewest processes of pinned guests. */
export function pickCpu(): number {
  const cpus = parseCpuList(allowedCpus(readFileSync("/proc/self/status", "utf8")));
  const load = new Map(cpus.map((cpu) => [cpu, 0]));
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const status = readFileSync(`/proc/${name}/status`, "utf8");
      const pinned = parseCpuList(allowedCpus(status));
      if (status.startsWith("Name:\tlinux.uml") && pinned.length === 1) load.set(pinned[0]!, (load.get(pinned[0]!) ?? 0) + 1);
    } catch {
      // ended while we looked
    }
  }
  return cpus.reduce((best, cpu) => (load.get(cpu)! < load.get(best)! ? cpu : best));
}
