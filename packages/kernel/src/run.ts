import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { KernelError } from "./failure.ts";

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

/**
 * Runs a program to its end, without a shell and in the C locale. Rejects with KernelError `tool.missing` when there is no such
 * program and `timeout` when it did not end in time; a failing program is a result.
 */
export function run(
  program: string,
  args: readonly string[],
  { input, timeoutMs = 30_000 }: RunOptions = {},
): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: { PATH, LC_ALL: "C" }, stdio: ["pipe", "pipe", "pipe"] });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      child.kill("SIGKILL");
    }, timeoutMs);
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
    child.stdin.on("error", () => undefined); // it may end before it has read all
    child.on("error", (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      reject(error.code === "ENOENT" ? new KernelError("tool.missing", `${program} is not installed`) : error);
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (isLate) return reject(new KernelError("timeout", `${program} did not end in ${timeoutMs} ms`));
      resolve({
        code: code ?? (signal ? 128 : 1),
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
      });
    });
    child.stdin.end(input);
  });
}
