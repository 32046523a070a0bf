// `npm run screenshots`: every page of the console, in both languages and themes, wide and narrow, as PNG files with an index to look at.
//   --json FILE  of a running `npm run demo -- --json FILE`: its console, with real packets behind it. Else an appliance of its own, without a lab
//   --out DIR    where to (default .trigon/screenshots)
//   --only TEXT  only pages whose name has this text
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { prepare, root } from "./appliance.mjs";
import { ensureSystemPackages } from "./system-packages.mjs";

try {
  await prepare({ web: !process.argv.includes("--json"), agent: false, onStep: (text) => console.log(`  → ${text}`) });
  ensureSystemPackages("tests");
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
const args = ["--import", "tsx", join(root, "infra/screenshots/run.ts"), ...process.argv.slice(2)];
process.exit(spawnSync(process.execPath, args, { stdio: "inherit" }).status ?? 1);
