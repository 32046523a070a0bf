// `npx tsx test/product/keep-world.ts FILE` keeps a world up until Ctrl-C, for many runs of scenarios while they are written:
// `TRIGON_WORLD=FILE npx vitest run --project product test/product/mine.test.ts`.
import { writeFileSync } from "node:fs";
import { attachable, enrollAll, startWorld, type World } from "../../infra/demo/world.ts";

const file = process.argv[2];
if (!file) {
  console.error("usage: keep-world.ts FILE");
  process.exit(2);
}
let world: World | undefined;
let isStopping = false;
const stop = async (code: number) => {
  if (isStopping) return;
  isStopping = true;
  await world?.stop();
  process.exit(code);
};
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => void stop(0));
try {
  world = await startWorld({ name: `kept-${process.pid}`, web: false, onStep: console.log });
  await enrollAll(world, console.log);
  writeFileSync(file, JSON.stringify(attachable(world)), { mode: 0o600 });
  console.log(`ready: TRIGON_WORLD=${file}`);
} catch (error) {
  console.error(error);
  await stop(1);
}
