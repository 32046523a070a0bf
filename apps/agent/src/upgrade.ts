import { spawn } from "node:child_process";
import { recordUpgradeEnd, upgradeRecordPath } from "./ask/upgrades.ts";
import { HttpsClient } from "./link/http.ts";
import { reasonOf } from "./log.ts";
import type { AgentPaths } from "./paths.ts";
import { readIdentity } from "./state/identity.ts";

export interface UpgradeOptions {
  dryRun: boolean;
  /** What the script prints; default: where this process prints. */
  onOutput?: (text: string) => void;
}

/**
 * Brings this node's program to the version of its console: fetches the install script, trusting the appliance's own CA only, and runs it with
 * `--upgrade`. The script checks before it changes anything, and starts the agent anew; what the kernel holds stays. Answers its exit code.
 * Throws when this machine is no node or the console does not answer.
 */
export async function upgrade(
  { state }: Pick<AgentPaths, "state">,
  { dryRun, onOutput = (text) => process.stdout.write(text) }: UpgradeOptions,
): Promise<number> {
  const identity = readIdentity(state);
  if (!identity) throw new Error("This machine is no node: enroll it with a line from the console");
  const client = new HttpsClient({ ca: identity.ca });
  const script = await client
    .bytes(new URL("/enroll/install.sh", identity.enrollment.consoleUrl).href)
    .finally(() => client.close());
  const child = spawn("/bin/sh", ["-s", "--", "--upgrade", ...(dryRun ? ["--dry-run"] : [])], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, TRIGON_STATE: state },
  });
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", onOutput);
  child.stdin.on("error", () => undefined); // a script that ended early says so by its exit code
  child.stdin.end(script);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code ?? 1));
  });
}

/** The same for a controller that asked: what becomes of it is written down, and whichever agent runs then tells it. Answers the exit code. */
export async function recordedUpgrade({ state }: Pick<AgentPaths, "state">, id: string): Promise<number> {
  let output = "";
  const onOutput = (text: string) => {
    output += text;
    process.stdout.write(text);
  };
  const exitCode = await upgrade({ state }, { dryRun: false, onOutput }).catch((error: unknown) => {
    onOutput(`${reasonOf(error)}\n`);
    return 1;
  });
  recordUpgradeEnd(upgradeRecordPath(state), id, { exitCode, output });
  return exitCode;
}
