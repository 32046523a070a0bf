import { readFileSync, statSync } from "node:fs";
import { release } from "node:os";
import { type ModuleResource, resourceKey } from "@trigon/model";
import type { ActionResult } from "@trigon/reconciler";
import type { ActionOn, Adapter } from "./adapter.ts";
import { attempt, done, KernelError } from "./failure.ts";
import { run } from "./run.ts";

/** Kernel modules: looked up in /sys, loaded with modprobe, never unloaded (other namespaces may use them). */
export class ModuleAdapter implements Adapter<"module"> {
  readonly kinds = ["module"] as const;

  async observe(keys: readonly string[]): Promise<ModuleResource[]> {
    return keys.map((key) => key.slice("module ".length)).flatMap((name) => (isLoaded(name) ? [resourceOf(name)] : []));
  }

  /** Modules are looked at by name only: a list of all would be of no use to anyone. */
  async observeAll(): Promise<ModuleResource[]> {
    return [];
  }

  async apply(actions: readonly ActionOn<"module">[]): Promise<ActionResult[]> {
    const missing = actions.flatMap((action) => (action.op !== "delete" && !isLoaded(action.to.name) ? [action.to.name] : []));
    if (missing.length > 1) await run("modprobe", ["-q", "-a", ...missing]).catch(() => undefined); // one start for all; what failed is asked again below
    const results: ActionResult[] = [];
    for (const action of actions)
      results.push(action.op === "delete" ? done : await attempt(`load module ${action.to.name}`, () => load(action.to.name)));
    return results;
  }
}

async function load(name: string): Promise<void> {
  if (isLoaded(name)) return;
  const { code, stderr } = await run("modprobe", [name]);
  if (code === 0 || isLoaded(name)) return;
  const errno = /Operation not permitted/.test(stderr) ? "EPERM" : "ENOENT";
  throw new KernelError(errno, `Could not load module ${name}: ${stderr.trim() || `modprobe ended with ${code}`}`);
}

/** Whether the running kernel has this module, loaded or built in. */
export function isLoaded(name: string): boolean {
  return loadedAs(name) !== undefined;
}

/** A number that is another one when the module was unloaded and loaded again in between; undefined when it is not there. */
export function loadedAs(name: string): number | undefined {
  const spelled = name.replaceAll("-", "_");
  if (!/^\w+$/.test(spelled)) return undefined;
  const folder = statSync(`/sys/module/${spelled}`, { throwIfNoEntry: false });
  return folder?.ino ?? (builtIn().has(spelled) ? 0 : undefined);
}

let builtInNames: ReadonlySet<string> | undefined;

/** Built-in modules without parameters have no folder in /sys/module; the module tree lists them (kbuild's modules.builtin). */
function builtIn(): ReadonlySet<string> {
  if (!builtInNames) {
    let text = "";
    try {
      text = readFileSync(`/lib/modules/${release()}/modules.builtin`, "utf8");
    } catch {
      // no module tree: then nothing more is known
    }
    const nameOf = (line: string) => /([^/]+)\.ko/.exec(line)?.[1]?.replaceAll("-", "_") ?? "";
    builtInNames = new Set(text.split("\n").map(nameOf).filter(Boolean));
  }
  return builtInNames;
}

const resourceOf = (name: string): ModuleResource => ({ kind: "module", key: resourceKey.module(name), name });
