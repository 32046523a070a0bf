import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Engine, KernelEnvironment } from "./engine.ts";

/** Where Debian's user-mode-linux keeps its modules. */
const packagedModules = "/usr/lib/uml/modules";
const memoryFolder = "/dev/shm";

/** A folder for `modprobe -d`: a copy, because depmod writes its index beside the modules and nothing of the machine may change. */
function moduleBase(cacheFolder: string): string {
  const release = readdirSync(packagedModules)
    .filter((name) => /^\d/.test(name))
    .at(-1);
  if (!release) throw new Error(`no kernel modules in ${packagedModules}`);
  const base = join(cacheFolder, `uml-modules-${release}`);
  if (existsSync(base)) return base;
  mkdirSync(cacheFolder, { recursive: true });
  const draft = mkdtempSync(join(cacheFolder, "draft-"));
  try {
    cpSync(join(packagedModules, release), join(draft, "lib/modules", release), { recursive: true });
    execFileSync("depmod", ["-b", draft, release], { stdio: ["ignore", "ignore", "inherit"] });
    execFileSync("chmod", ["755", draft]);
    renameSync(draft, base);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    if (!existsSync(base)) throw error; // another lab was faster
  }
  return base;
}

/** Debian's user-mode Linux: a kernel that is an ordinary process, with the machine's files below it, read-only. */
export const uml: Engine = {
  name: "uml",
  memoryFolder,
  unavailable() {
    if (!existsSync("/usr/bin/linux.uml")) return "user-mode-linux is not installed";
    return existsSync(packagedModules) ? undefined : `no modules in ${packagedModules}`;
  },
  withoutIpvs: () => undefined,
  prepare: (cacheFolder): KernelEnvironment => ({ moduleBase: moduleBase(cacheFolder), nic: "vec0" }),
  outerNetwork: (gateway, prefix) => ["tuntap add tap0 mode tap", `addr add ${gateway}/${prefix} dev tap0`, "link set tap0 up"],
  command: ({ labd, configuration, memory, cpu, kernelArguments }) => ({
    // Pinned: a system call then costs 9 µs instead of 60 to 90.
    argv: [
      "taskset",
      "-c",
      String(cpu),
      "linux.uml",
      `mem=${memory}`,
      "rootfstype=hostfs",
      "root=/dev/root",
      "ro",
      `init=${labd}`,
      `LABCFG=${configuration}`,
      "con=null",
      "con0=null,fd:1",
      "quiet",
      `uml_dir=${memoryFolder}/`,
      "umid=lab",
      "vec0:transport=tap,ifname=tap0,depth=128",
      ...kernelArguments,
    ],
    env: { TMPDIR: memoryFolder },
  }),
};
