import { spawn } from "node:child_process";
import { HttpsClient } from "./link/http.ts";
import type { AgentPaths } from "./paths.ts";
import { readIdentity } from "./state/identity.ts";

/**
 * Brings this node's program to the version of its console: fetches the install script, trusting the appliance's own CA only, and runs it with
 * `--upgrade`. The script checks before it changes anything, and starts the agent anew; what the kernel holds stays. Answers its exit code.
 * Throws when this machine is no node or the console does not answer.
 */
export async function upgrade({ state }: Pick<AgentPaths, "state">, { dryRun }: { dryRun: boolean }): Promise<number> {
  const identity = readIdentity(state);
  if (!identity) throw new Error("This machine is no node: enroll it with a line from the console");
  const client = new HttpsClient({ ca: identity.ca });
  const script = await client
    .bytes(new URL("/enroll/install.sh", identity.enrollment.consoleUrl).href)
    .finally(() => client.close());
  const child = spawn("/bin/sh", ["-s", "--", "--upgrade", ...(dryRun ? ["--dry-run"] : [])], {
    stdio: ["pipe", "inherit", "inherit"],
    env: { ...process.env, TRIGON_STATE: state },
  });
  child.stdin.on("error", () => undefined); // a script that ended early says so by its exit code
  child.stdin.end(script);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code ?? 1));
  });
}
