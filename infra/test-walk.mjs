// `npm run test:walk -- [--steps N] [--seed N]`: a random walk of changes and hand-made drifts through the lab. A seed repeats a walk.
import { spawnSync } from "node:child_process";

const args = process.argv.slice(2);
for (const name of ["steps", "seed"]) {
  const at = args.indexOf(`--${name}`);
  if (at < 0) continue;
  const [, value] = args.splice(at, 2);
  if (!/^\d+$/.test(value ?? "")) {
    console.error(`--${name} needs a number`);
    process.exit(2);
  }
  process.env[`TRIGON_${name.toUpperCase()}`] = value;
}
process.exit(spawnSync("npx", ["vitest", "run", "--project", "walk", ...args], { stdio: "inherit" }).status ?? 1);
