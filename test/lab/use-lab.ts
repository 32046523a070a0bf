import { Lab } from "@trigon/lab";
import { afterAll, beforeAll, inject } from "vitest";

/**
 * The lab that all scenario files share, one file after the other. Call it at a file's (or a describe's) top level and use the answer in
 * tests and hooks. `fresh` hosts (all of them by default) are built again with empty disks first, so that no scenario sees another's traces.
 */
export function useLab({ fresh }: { fresh?: readonly string[] } = {}): Lab {
  let lab: Lab | undefined;
  beforeAll(async () => {
    lab = await Lab.attach(inject("labState"));
    for (const name of fresh ?? lab.hosts.map((host) => host.name)) await lab.rebuildHost(name, { wipe: true });
  });
  afterAll(() => lab?.detach());
  return new Proxy({} as Lab, {
    get(_, key) {
      if (!lab) throw new Error("the lab is there in tests and hooks, not before");
      const value = Reflect.get(lab, key, lab);
      return typeof value === "function" ? value.bind(lab) : value;
    },
  });
}
