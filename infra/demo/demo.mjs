// `npm run demo`: from a fresh clone to balanced packets. Uses only Node's built-ins until the dependencies are there.
//   --check      end after the takeover drill: exit code 0 when all was as it should be, else 1
//   --json FILE  write {consoleUrl, apiUrl, caFile, apiToken, adminUser, adminPassword}
import { spawn } from "node:child_process";
import { join } from "node:path";
import { needsInstall, root } from "../appliance.mjs";
import { ensureSystemPackages } from "../system-packages.mjs";

process.chdir(root);

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Trigon needs Node.js 20.19 or newer; this is ${process.version}.`);
  process.exit(1);
}
if (process.platform !== "linux" || process.getuid?.() !== 0) {
  console.error("The demo runs a lab with real IPVS and real network namespaces: run it as root on Linux (sudo npm run demo).");
  process.exit(1);
}

/** Runs one long step; its output appears only when it fails. */
async function step(title, command) {
  const started = Date.now();
  const isTerminal = process.stdout.isTTY;
  const tick = setInterval(() => {
    if (isTerminal) process.stdout.write(`\r  … ${title}  ${Math.round((Date.now() - started) / 1000)} s `);
  }, 500);
  if (!isTerminal) console.log(`  … ${title}`);
  const output = [];
  const env = { ...process.env, NEXT_TELEMETRY_DISABLED: "1", TURBO_TELEMETRY_DISABLED: "1", CHECKPOINT_DISABLE: "1" };
  const child = spawn(command, { shell: true, stdio: ["ignore", "pipe", "pipe"], env });
  child.stdout.on("data", (chunk) => output.push(chunk));
  child.stderr.on("data", (chunk) => output.push(chunk));
  const code = await new Promise((done) => child.on("close", done));
  clearInterval(tick);
  if (code !== 0) {
    console.error(`\n${Buffer.concat(output).toString()}\n✗ ${title}: “${command}” ended with ${code}`);
    process.exit(1);
  }
  console.log(`${isTerminal ? "\r" : ""}  ✓ ${title}  ${((Date.now() - started) / 1000).toFixed(1)} s   `);
}

console.log("Trigon demo");
if (needsInstall()) await step("npm ci", "npm ci --no-audit --no-fund");
try {
  ensureSystemPackages("lab", { say: (line) => console.log(`  … ${line}`) });
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
await step("build", "npm run --silent build");

const child = spawn(process.execPath, ["--import", "tsx", join(root, "infra/demo/run.ts"), ...process.argv.slice(2)], {
  stdio: "inherit",
});
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill("SIGTERM"));
child.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGTERM" ? 0 : 1)));
