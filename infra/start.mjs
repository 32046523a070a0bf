// `npm start` and `npm run dev`: the appliance on this machine until Ctrl-C.
import { prepare, startAppliance } from "./appliance.mjs";

const dev = process.argv.includes("--dev");
const say = (text) => process.stdout.write(`${text}\n`);
const onStep = (text) => say(`  → ${text}`);

let appliance;
let stopping = false;
async function stop(code) {
  if (stopping) return;
  stopping = true;
  await appliance?.stop();
  process.exit(code);
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => void stop(0));

try {
  say("Trigon");
  await prepare({ web: !dev, onStep });
  appliance = await startAppliance({ dev, logToOutput: dev, onStep });
  const { consoleUrl, admin, caFile } = appliance;
  say(`
  console    ${consoleUrl}   (its certificate is signed by ${caFile})
  user       ${admin.username}
  password   ${admin.password ?? "(the one you set)"}

  Ctrl-C stops everything; agents go on from their cached plans.`);
} catch (error) {
  say(`  ✗ ${error.message}`);
  await stop(1);
}
