import { execFile } from "node:child_process";
import { existsSync, lstatSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { createKernel } from "@trigon/kernel";
import { textOf } from "@trigon/planner";
import { Desired, type Found, type Kernel, keyOf, Ledger, Outcomes, runPass } from "@trigon/reconciler";
import type { AgentPaths } from "./paths.ts";
import { JournalFile } from "./state/journal-file.ts";
import { lockHolder, takeLock } from "./state/lock.ts";

const program = "/opt/trigon";
const command = "/usr/local/bin/trigon-agent";
const unit = "/etc/systemd/system/trigon-agent.service";
const settings = "/etc/trigon";

/** What was done, in ipvsadm, ip and sysctl words. `left` is not empty when something could not be removed: then the files stay too. */
export interface Uninstalled {
  removed: string[];
  restored: { text: string; value: Found["value"]; isRestored: boolean }[];
  left: { text: string; message: string }[];
  files: string[];
  /** Packages of the distribution that the installer brought; they stay, since others may use them by now. */
  packages: string[];
}

/** Stops the agent, takes out of the kernel what Trigon made, puts settings back that still are what Trigon set, and removes the files. */
export async function uninstall(paths: AgentPaths, options: { keepFiles: boolean; kernel?: Kernel }): Promise<Uninstalled> {
  await stopAgent(paths);
  const lock = takeLock(paths.lock);
  if ("holder" in lock) throw new Error(`Another trigon-agent is at work: process ${lock.holder.pid}`);
  const result = await withdraw(paths, options.kernel ?? createKernel({ vrrpDirectory: join(paths.state, "vrrp") }));
  if (result.left.length > 0) {
    lock.release();
    return result;
  }
  if (!options.keepFiles) result.files.push(...(await removeFiles(paths)));
  lock.release();
  return result;
}

/** A pass towards an empty plan: everything the journal claims goes, in the reverse of the order it was built in. */
async function withdraw(paths: AgentPaths, kernel: Kernel): Promise<Uninstalled> {
  const { journal, entries } = JournalFile.open(paths.journal);
  const result: Uninstalled = { removed: [], restored: [], left: [], files: [], packages: broughtPackages(paths) };
  try {
    const { bootId } = await kernel.facts();
    const noting = withRestore(kernel, async (resource, found) => {
      const isRestored = await kernel.restore(resource, found);
      result.restored.push({ text: textOf(resource), value: found.value, isRestored });
      return isRestored;
    });
    const ledger = new Ledger(bootId, entries);
    const { steps } = await runPass({
      kernel: noting,
      journal,
      ledger,
      desired: new Desired(),
      outcomes: new Outcomes(),
      keys: "all",
    });
    for (const { step, result: outcome } of steps) {
      if (step.op === "restore") continue;
      const text = step.op === "delete" ? textOf(step.from) : keyOf(step);
      if (outcome.ok) result.removed.push(text);
      else result.left.push({ text, message: outcome.failure.message });
    }
    await kernel.tidy();
  } finally {
    journal.close();
    await kernel.close();
  }
  return result;
}

/** The same kernel, but that it says what became of each setting. */
function withRestore(kernel: Kernel, restore: Kernel["restore"]): Kernel {
  return new Proxy(kernel, {
    get(target, name) {
      if (name === "restore") return restore;
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

async function stopAgent(paths: AgentPaths): Promise<void> {
  // Under a service manager it would come back: stop and disable it there.
  if (existsSync(unit)) await systemctl("disable", "--now", "trigon-agent.service");
  const holder = lockHolder(paths.lock);
  if (!holder) return;
  process.kill(holder.pid, "SIGTERM");
  for (const deadline = Date.now() + 15_000; lockHolder(paths.lock)?.pid === holder.pid; await sleep(50))
    if (Date.now() > deadline) {
      process.kill(holder.pid, "SIGKILL");
      await sleep(200);
    }
}

function broughtPackages({ state }: AgentPaths): string[] {
  const path = join(state, "installed-packages");
  return existsSync(path) ? readFileSync(path, "utf8").split("\n").filter(Boolean) : [];
}

async function removeFiles(paths: AgentPaths): Promise<string[]> {
  const candidates = [unit, isOurCommand() ? command : null, settings, paths.state, program];
  const files = candidates.filter((path): path is string => path !== null && existsSync(path));
  for (const path of files) rmSync(path, { recursive: true, force: true });
  if (files.includes(unit)) await systemctl("daemon-reload");
  return files;
}

function isOurCommand(): boolean {
  try {
    return lstatSync(command).isSymbolicLink() && readlinkSync(command).startsWith(`${program}/`);
  } catch {
    return false;
  }
}

/** A machine without systemd, or one that is shutting down, is no reason to stop. */
async function systemctl(...args: string[]): Promise<void> {
  await promisify(execFile)("systemctl", args).catch(() => undefined);
}
