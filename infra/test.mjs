// `npm test`: every check there is, in the order that fails fastest. `npm test -- unit lab` runs only the named steps.
import { spawnSync } from "node:child_process";

const steps = [
  ["generate", "npm run generate"],
  ["lint", "npm run lint"],
  ["types", "npm run typecheck"],
  ["unit", "npm run test:unit"],
  ["build", "npm run build"],
  ["api", "npm run test:api"],
  ["lab", "npm run test:lab"],
  ["product", "npm run test:product"],
  ["walk", "npm run test:walk"],
  ["browser", "npm run test:browser"],
];

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !steps.some(([step]) => step === name));
if (unknown.length > 0) {
  console.error(`unknown step ${unknown.join(", ")}; there are ${steps.map(([name]) => name).join(", ")}`);
  process.exit(2);
}
const results = [];
for (const [name, command] of steps) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const started = Date.now();
  console.log(`\n=== ${name}: ${command}`);
  const { status } = spawnSync(command, { shell: true, stdio: "inherit" });
  const seconds = ((Date.now() - started) / 1000).toFixed(0);
  results.push([name, status === 0, seconds]);
  if (status !== 0) break;
}
console.log("");
for (const [name, isGood, seconds] of results) console.log(`${isGood ? "✓" : "✗"} ${name.padEnd(10)} ${seconds.padStart(5)} s`);
const failed = results.filter(([, isGood]) => !isGood).length;
console.log(`${results.length - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
