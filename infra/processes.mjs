// Child processes that live and die with their parent. Uses only Node's built-ins.
import { spawn } from "node:child_process";
import { createWriteStream, mkdirSync } from "node:fs";
import { dirname } from "node:path";

const dieWithParent = new URL(`die-with-parent.mjs?parent=${process.pid}`, import.meta.url).href;

/**
 * Runs a command to its end. Throws with the last of what it said when it fails.
 * @param {string} command @param {string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, onLine?: (line: string) => void, signal?: AbortSignal }} [options]
 */
export async function run(command, args, { cwd, env, onLine, signal } = {}) {
  const child = spawn(command, args, { cwd, env: env ?? process.env, stdio: ["ignore", "pipe", "pipe"], signal });
  const said = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (text) => {
      for (const line of text.split("\n")) if (line.trim() !== "") said.push(line) && onLine?.(line);
      said.splice(0, Math.max(0, said.length - 40));
    });
  }
  const code = await new Promise((resolve, reject) => child.once("error", reject).once("close", resolve));
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${code}:\n${said.join("\n")}`);
}

/**
 * Keeps a Node program running: started again when it ends by itself, stopped with `stop`, and ended by the kernel's hang-up of its IPC
 * channel when this process dies in any way.
 * @param {{ name: string, args: string[], cwd: string, env: NodeJS.ProcessEnv, logFile: string | null, onLine?: (line: string) => void,
 *   onMessage?: (message: any) => void, onEnd?: (quickEnds: number) => void }} options `logFile` null: to our own output; `onEnd` is told
 *   how often in a row it ended within ten seconds
 */
export function keepRunning({ name, args, cwd, env, logFile, onLine, onMessage, onEnd }) {
  let child;
  let stopping = false;
  let timer;
  let failures = 0;
  let ended = Promise.resolve();
  let log = null;
  if (logFile) {
    mkdirSync(dirname(logFile), { recursive: true });
    log = createWriteStream(logFile, { flags: "a" });
  }
  const start = () => {
    const startedAt = Date.now();
    const ourEnv = { ...env, TRIGON_PARENT_PID: String(process.pid) };
    child = spawn(process.execPath, ["--import", dieWithParent, ...args], {
      cwd,
      env: ourEnv,
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk) => {
        (log ?? process.stdout).write(chunk);
        onLine?.(String(chunk));
      });
    }
    child.on("message", (message) => onMessage?.(message));
    child.on("error", () => undefined);
    ended = new Promise((resolve) =>
      child.once("close", (code, signal) => {
        resolve();
        if (stopping) return;
        failures = Date.now() - startedAt > 10_000 ? 0 : failures + 1;
        onEnd?.(failures);
        onLine?.(`${name} ended (${signal ?? code}); starting it again\n`);
        timer = setTimeout(start, Math.min(200 * 2 ** failures, 5_000));
      }),
    );
  };
  start();
  return {
    get pid() {
      return child.pid;
    },
    get hasEnded() {
      return child.exitCode !== null || child.signalCode !== null;
    },
    /** Asks it to end, and makes it after `graceMs`. */
    async stop(graceMs = 8_000) {
      stopping = true;
      clearTimeout(timer);
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
      const force = setTimeout(() => child.kill("SIGKILL"), graceMs);
      await ended;
      clearTimeout(force);
      log?.end();
    },
  };
}
