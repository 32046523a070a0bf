// `npm run bench -- NAME [--json FILE]`: one bench of test/bench, beside its named peer in the same run.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { prepare, root } from "./appliance.mjs";
import { run } from "./processes.mjs";
import { ensureSystemPackages } from "./system-packages.mjs";

const folder = fileURLToPath(new URL("../test/bench", import.meta.url));
/** A bench is a file that begins with the line of how to run it. */
const benches = readdirSync(folder)
  .filter((name) => name.endsWith(".ts") && readFileSync(join(folder, name), "utf8").startsWith("// `npm run bench"))
  .map((name) => name.slice(0, -3));
const [name, ...rest] = process.argv.slice(2);
const file = join(folder, `${name}.ts`);
if (!benches.includes(name) || !existsSync(file)) {
  console.error(`usage: npm run bench -- NAME [--json FILE]\nThere are: ${benches.join(", ")}`);
  process.exit(2);
}
try {
  await prepare({ web: false, agent: false, onStep: console.log });
  // What is measured is this checkout's agent, not the last one that was built.
  console.log("building the agent");
  await run("npm", ["run", "build", "-w", "@trigon/agent"], { cwd: root });
  for (const purpose of ["lab", "tests"]) ensureSystemPackages(purpose);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
process.exit(spawnSync(process.execPath, ["--import", "tsx", file, ...rest], { stdio: "inherit" }).status ?? 1);
