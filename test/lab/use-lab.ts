import { Lab } from "@trigon/lab";
import { afterAll, beforeAll, inject } from "vitest";

/**
 * The lab that all scenario files share, one file after the other. Call it at a file's (or a describe's) top level and use the answer in
 * tests and hooks. All hosts are built again with empty disks first, so that no scenario sees another's traces, in whatever order they run.
 */
export function useLab(): Lab {
  let lab: Lab | undefined;
  beforeAll(async () => {
    lab = await Lab.attach(inject("labState"));
    for (const { name } of lab.hosts) await lab.rebuildHost(name, { wipe: true });
  }, 120_000);
  afterAll(() => lab?.detach());
  return new Proxy({} as Lab, {
    get(_, key) {
      if (!lab) throw new Error("the lab is there in tests and hooks, not before");
      const value = Reflect.get(lab, key, lab);
      return typeof value === "function" ? value.bind(lab) : value;
    },
  });
}
