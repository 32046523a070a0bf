import { beforeAll, expect, test } from "vitest";
import { useWorld } from "../product/use-world.ts";
import { Random } from "./random.ts";
import { isLive } from "./spec.ts";
import { drift, fleetChange, type Step } from "./steps.ts";
import { WalkWorld } from "./world.ts";

const seed = Number(process.env.TRIGON_SEED ?? Date.now() % 1_000_000);
const steps = Number(process.env.TRIGON_STEPS ?? 40);

const world = useWorld();
let walk: WalkWorld;
beforeAll(async () => {
  walk = new WalkWorld(world);
  await walk.begin();
});

test(`${steps} random changes and drifts, seed ${seed}: kernels and packets agree with the spec after each`, {
  timeout: 300_000 + steps * 60_000,
}, async () => {
  const random = new Random(seed);
  console.log(`random walk of ${steps} steps: npm run test:walk -- --steps ${steps} --seed ${seed}`);
  let live = 0;
  const counts = { changes: 0, drifts: 0 };
  const began = performance.now();
  for (let at = 1; at <= steps; at++) {
    let step: Step | undefined;
    const isChange = walk.services.length < 2 || random.next() < 0.55;
    while (!step) step = isChange ? fleetChange(random, walk) : drift(random, walk);
    counts[isChange ? "changes" : "drifts"]++;
    if (walk.services.some(isLive)) live++;
    const started = performance.now();
    try {
      const isRight = await step.take();
      await walk.agrees(isRight ?? (async () => true), step.deadlineMs);
    } catch (error) {
      throw new Error(`seed ${seed}, step ${at} of ${steps} (${step.text}): ${(error as Error).message}`, { cause: error });
    }
    console.log(`${String(at).padStart(3)} ${step.text}: ${((performance.now() - started) / 1000).toFixed(1)} s`);
  }
  const seconds = (performance.now() - began) / 1000;
  console.log(
    `seed ${seed}: ${steps} steps in ${seconds.toFixed(0)} s (${counts.changes} changes, ${counts.drifts} drifts), ` +
      `${((100 * live) / steps).toFixed(0)} % with live services`,
  );
  expect(live / steps).toBeGreaterThanOrEqual(0.8);
  expect(await walk.end(), `seed ${seed}: uninstall leaves every host as found`).toEqual([]);
});
