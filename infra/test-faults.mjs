// `npm run test:faults -- [--faults N] [--seed N]`: random faults of a pair of directors in the lab. A seed repeats them.
import { spawnSync } from "node:child_process";
import { numberOptions } from "./number-options.mjs";

const args = numberOptions(["faults", "seed"], process.argv.slice(2));
const files = ["run", "--project", "lab", "test/lab/pair-faults.test.ts"];
process.exit(spawnSync("npx", ["vitest", ...files, ...args], { stdio: "inherit" }).status ?? 1);
