// `npm run test:walk -- [--steps N] [--seed N]`: a random walk of changes and hand-made drifts through the lab. A seed repeats a walk.
import { spawnSync } from "node:child_process";
import { numberOptions } from "./number-options.mjs";

const args = numberOptions(["steps", "seed"], process.argv.slice(2));
process.exit(spawnSync("npx", ["vitest", "run", "--project", "walk", ...args], { stdio: "inherit" }).status ?? 1);
