// `npm run test:lab`: the scenarios in the lab. Arguments go to vitest, except:
//   --list-guards          name what Trigon sets so that packets go the right way, and what each prevents
//   --without-guard NAME   run the guards' tests with one of them switched off by hand: its own must fail
import { spawnSync } from "node:child_process";

const args = process.argv.slice(2);
const run = (program, ...rest) => {
  const { status } = spawnSync(program, rest, { stdio: "inherit" });
  process.exit(status ?? 1);
};

if (args.includes("--list-guards")) run("npx", "tsx", "test/lab/guards/list.ts");
const at = args.indexOf("--without-guard");
if (at >= 0) {
  const [, name] = args.splice(at, 2);
  if (!name) {
    console.error("--without-guard needs a name: npm run test:lab -- --list-guards");
    process.exit(2);
  }
  process.env.TRIGON_WITHOUT_GUARD = name;
  args.push("test/lab/guards.test.ts");
  console.log(`${name} is switched off: its test must fail. Those that need all guards are skipped.`);
}
run("npx", "vitest", "run", "--project", "lab", ...args);
