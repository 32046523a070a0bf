import { closeSync, fsyncSync, linkSync, mkdirSync, openSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { writeAll } from "./files.ts";

export interface LockHolder {
  pid: number;
  /** Field 22 of /proc/<pid>/stat, so that a reused pid is no holder. Clock ticks since boot. */
  startedAt: string;
}

/** When a process began, or null when there is none. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null;
  } catch {
    return null;
  }
}

/** The living holder of a lock file, or null. */
export function lockHolder(path: string): LockHolder | null {
  try {
    const holder = JSON.parse(readFileSync(path, "utf8")) as LockHolder;
    return startOf(holder.pid) === holder.startedAt ? holder : null;
  } catch {
    return null;
  }
}

/**
 * Takes the lock or answers who has it. The file appears whole or not at all (link of a finished file), and a dead holder's is moved aside
 * before it is replaced, so that two starters cannot both win.
 */
export function takeLock(path: string): { release(): void } | { holder: LockHolder } {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const mine = `${path}.${process.pid}`;
  const fd = openSync(mine, "w", 0o644);
  writeAll(fd, Buffer.from(JSON.stringify({ pid: process.pid, startedAt: startOf(process.pid) })));
  fsyncSync(fd);
  closeSync(fd);
  try {
    for (;;) {
      try {
        linkSync(mine, path);
        return { release: () => rmSync(path, { force: true }) };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
      const holder = lockHolder(path);
      if (holder) return { holder };
      moveDeadAside(path, mine);
    }
  } finally {
    rmSync(mine, { force: true });
  }
}

function moveDeadAside(path: string, mine: string): void {
  const aside = `${mine}.dead`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  // Another starter may have replaced the dead file between our look and our move: give a living one its place back.
  if (lockHolder(aside)) linkSync(aside, path);
  rmSync(aside, { force: true });
}
