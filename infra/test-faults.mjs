// `npm run test:faults -- [--faults N] [--seed N]`: random faults of a pair of directors in the lab. A seed repeats them.
import { spawnSync } from "node:child_process";

const args = process.argv.slice(2);
for (const name of ["faults", "seed"]) {
  const at = args.indexOf(`--${name}`);
  if (at < 0) continue;
  const [, value] = args.splice(at, 2);
  if (!/^\d+$/.test(value ?? "")) {
    console.error(`--${name} needs a number`);
    process.exit(2);
  }
  process.env[`TRIGON_${name.toUpperCase()}`] = value;
}
const files = ["run", "--project", "lab", "test/lab/pair-faults.test.ts"];
process.exit(spawnSync("npx", ["vitest", ...files, ...args], { stdio: "inherit" }).status ?? 1);
