import { rmSync } from "node:fs";
import { Lab } from "@trigon/lab";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    /** State folder of the lab that all scenarios of a run share. */
    labState: string;
  }
}

/** Boots one demo lab for all scenario files; with TRIGON_LAB=<name or state folder> they use that running lab instead. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  // biome-ignore lint/suspicious/noUndeclaredEnvVars: vitest runs this, not turbo
  const running = process.env.TRIGON_LAB;
  const lab = running ? await Lab.attach(running) : await Lab.up({ name: `test-${process.pid}` });
  project.provide("labState", lab.state);
  return async () => {
    await lab.detach();
    if (running) return;
    await lab.down();
    rmSync(lab.state, { recursive: true, force: true });
  };
}
