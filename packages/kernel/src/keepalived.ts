import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { resourceKey, type VrrpResource } from "@trigon/model";
import type { ActionResult } from "@trigon/reconciler";
import type { ActionOn, Adapter } from "./adapter.ts";
import { done, failed, KernelError } from "./failure.ts";
import { heartbeatCheck, keepalivedConfiguration, unfitWeight, type VrrpFiles, vrrpFiles } from "./keepalived-conf.ts";
import { pathOf, run } from "./run.ts";

/** So long may keepalived take to start or to stop. */
const patienceMs = 5_000;

/**
 * A keepalived of our own: one process with an instance for each group. It outlives the agent; a group counts as there only while the process
 * runs with it.
 */
export class KeepalivedAdapter implements Adapter<"vrrp"> {
  readonly kinds = ["vrrp"] as const;
  readonly #directory: string;
  readonly #files: VrrpFiles;

  constructor(directory: string) {
    this.#directory = directory;
    this.#files = vrrpFiles(directory);
  }

  async observe(keys: readonly string[]): Promise<VrrpResource[]> {
    const wanted = new Set(keys);
    return (await this.observeAll()).filter(({ key }) => wanted.has(key));
  }

  async observeAll(): Promise<VrrpResource[]> {
    return keepalivedPid(this.#files) === undefined ? [] : this.#groups();
  }

  /** Whether an address, by its resource key, is one that keepalived binds for us. */
  holds(addressKey: string): boolean {
    if (!existsSync(this.#files.groups)) return false;
    return this.#groups().some(
      ({ vips, virtualRouterId }) =>
        addressKey.startsWith("address lo 169.254.86.") ||
        addressKey.startsWith(`address lo fe80::86:${virtualRouterId.toString(16)}/`) ||
        vips.some(({ address, interface: name }) => addressKey.startsWith(`address ${name} ${address}/`)),
    );
  }

  /** All at once: keepalived reads its configuration whole. */
  async apply(actions: readonly ActionOn<"vrrp">[]): Promise<ActionResult[]> {
    const next = new Map(this.#groups().map((group) => [group.key, group]));
    for (const action of actions) {
      if (action.op === "delete") next.delete(action.from.key);
      else next.set(action.to.key, action.to);
    }
    try {
      await this.#become([...next.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1)));
      return actions.map(() => done);
    } catch (error) {
      return actions.map((action) => failed(error, `${action.op} VRRP`));
    }
  }

  #groups(): VrrpResource[] {
    try {
      const read: VrrpResource[] = JSON.parse(readFileSync(this.#files.groups, "utf8"));
      return read.map((group) => ({ ...group, key: resourceKey.vrrp(group.groupId) }));
    } catch {
      return []; // none yet, or unreadable: it is made anew
    }
  }

  async #become(groups: readonly VrrpResource[]): Promise<void> {
    const files = this.#files;
    if (groups.length === 0) {
      await stop(files);
      rmSync(this.#directory, { recursive: true, force: true });
      return;
    }
    if (pathOf("keepalived") === undefined) {
      const how = "apt-get install -y --no-install-recommends keepalived";
      throw new KernelError("tool.missing", `keepalived is not installed; a director of a group in mode vrrp needs it: ${how}`);
    }
    mkdirSync(files.trackDirectory, { recursive: true, mode: 0o700 });
    writeFileSync(files.heartbeatCheck, heartbeatCheck(files), { mode: 0o600 });
    const pid = keepalivedPid(files);
    for (const { groupId } of groups) {
      const path = `${files.trackDirectory}/${groupId}`;
      // Nobody's turn before the agent has looked whether all stands, nor with what was worth while the one before held the VIPs.
      if (pid === undefined || !existsSync(path)) writeFileSync(path, `${unfitWeight}\n`);
    }
    const fresh = `${files.configuration}.new`;
    writeFileSync(fresh, keepalivedConfiguration(groups, files), { mode: 0o600 });
    const { code, stdout, stderr } = await run("keepalived", ["--vrrp", "-t", "-f", fresh]);
    if (code !== 0) throw new KernelError("vrrp.refused", `keepalived refuses its configuration: ${(stderr + stdout).trim()}`);
    renameSync(fresh, files.configuration);
    if (pid === undefined) await start(files);
    else process.kill(pid, "SIGHUP");
    writeFileSync(`${files.groups}.new`, JSON.stringify(groups), { mode: 0o600 });
    renameSync(`${files.groups}.new`, files.groups);
  }
}

/** The process of our own keepalived, if it runs: a number that another program has now is not it. */
export function keepalivedPid(files: VrrpFiles): number | undefined {
  return processOf(files.pid, files);
}

function processOf(pidFile: string, { configuration }: VrrpFiles): number | undefined {
  try {
    const pid = Number(readFileSync(pidFile, "utf8"));
    if (!Number.isInteger(pid) || pid <= 1) return undefined;
    const isDead = /^\d+ \(.*\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
    return !isDead && words.includes(configuration) ? pid : undefined;
  } catch {
    return undefined;
  }
}

async function start(files: VrrpFiles): Promise<void> {
  // Left over from one that was killed: it would hold the VIPs beside the new one.
  await end(files.vrrpPid, files);
  const { configuration, pid, vrrpPid, checkersPid } = files;
  const args = ["--vrrp", "--log-detail", "-f", configuration, "-p", pid, "-r", vrrpPid, "-c", checkersPid];
  const { code, stdout, stderr } = await run("keepalived", args);
  if (code !== 0) throw new KernelError("vrrp.down", `keepalived did not start: ${(stderr + stdout).trim() || `code ${code}`}`);
  for (const deadline = Date.now() + patienceMs; keepalivedPid(files) === undefined; await sleep(20))
    if (Date.now() > deadline) throw new KernelError("vrrp.down", "keepalived did not start in time");
}

/** It gives its VIPs away before it ends. */
async function stop(files: VrrpFiles): Promise<void> {
  await end(files.pid, files);
  await end(files.vrrpPid, files);
}

async function end(pidFile: string, files: VrrpFiles): Promise<void> {
  const pid = processOf(pidFile, files);
  if (pid === undefined) return;
  process.kill(pid, "SIGTERM");
  for (const deadline = Date.now() + patienceMs; processOf(pidFile, files) === pid; await sleep(20)) {
    if (Date.now() < deadline) continue;
    process.kill(pid, "SIGKILL");
    return;
  }
}
