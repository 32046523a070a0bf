import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { KernelError } from "./failure.ts";
import { Shells } from "./shell.ts";

export interface RunResult {
  code: number;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  input?: string;
  /** Killed after so long (30 s). */
  timeoutMs?: number;
}

/** /sbin is not on every service manager's path. */
const PATH = [process.env.PATH, "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"].filter(Boolean).join(":");

/** Where a program is, as `run` finds it; undefined when it is not installed. */
export function pathOf(program: string): string | undefined {
  return PATH.split(":")
    .map((folder) => join(folder, program))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

let shells: Shells | undefined;

/**
 * Runs a program to its end, in the C locale; no shell looks at its arguments. Rejects with KernelError `tool.missing` when there is no such
 * program and `timeout` when it did not end in time; a failing program is a result.
 */
export async function run(
  program: string,
  args: readonly string[],
  { input, timeoutMs = 30_000 }: RunOptions = {},
): Promise<RunResult> {
  const path = pathOf(program);
  if (path === undefined) throw new KernelError("tool.missing", `${program} is not installed`);
  shells ??= new Shells({ PATH, LC_ALL: "C" });
  const result = await shells.run({ path, args, input, timeoutMs });
  if (!result) throw new KernelError("timeout", `${program} did not end in ${timeoutMs} ms`);
  return result;
}
