import { readFileSync } from "node:fs";
import type { TestProject } from "vitest/node";
import { attachable, enrollAll, startWorld, type World } from "../../infra/demo/world.ts";

declare module "vitest" {
  interface ProvidedContext {
    world: ReturnType<typeof attachable>;
  }
}

/**
 * Starts the whole product once for all scenario files: the appliance without its web app, the demo lab, every node enrolled by its one line.
 * `TRIGON_WORLD` names the file of a world that `keep-world.ts` keeps up, which is then used as it is.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const kept = process.env.TRIGON_WORLD;
  if (kept) {
    project.provide("world", JSON.parse(readFileSync(kept, "utf8")));
    return async () => {};
  }
  const world: World = await startWorld({ name: `product-${process.pid}`, web: false });
  try {
    await enrollAll(world);
  } catch (error) {
    await world.stop();
    throw error;
  }
  project.provide("world", attachable(world));
  return () => world.stop();
}
