import { readdirSync } from "node:fs";
import { resourceKey, type SysctlResource } from "@trigon/model";
import type { ActionResult, Found } from "@trigon/reconciler";
import type { ActionOn, Adapter } from "./adapter.ts";
import { attempt, done } from "./failure.ts";
import { standingSysctl } from "./farewell.ts";
import { afterForwarding, changedByForwarding, forwardingFamily } from "./forwarding.ts";
import { readSysctl, writeSysctl } from "./sysctl-files.ts";

/** Files under /proc/sys. What is observed is the value found, with its blanks made single spaces. */
export class SysctlAdapter implements Adapter<"sysctl"> {
  readonly kinds = ["sysctl"] as const;

  async observe(keys: readonly string[]): Promise<SysctlResource[]> {
    return keys.flatMap((key) => {
      const path = key.slice("sysctl ".length);
      const value = standingSysctl(path);
      return value === undefined ? [] : [{ kind: "sysctl" as const, key: resourceKey.sysctl(path), path, value }];
    });
  }

  /** Sysctls are looked at by name only. */
  async observeAll(): Promise<SysctlResource[]> {
    return [];
  }

  async apply(actions: readonly ActionOn<"sysctl">[]): Promise<ActionResult[]> {
    const results: ActionResult[] = [];
    for (const action of actions) {
      if (action.op === "delete")
        results.push(done); // a setting is put back by `restore`, not deleted
      else results.push(await attempt(`write ${action.to.path}`, () => meet(action.to)));
    }
    return results;
  }

  /** The value that stands there, and for a forwarding switch every value that it will flip. */
  found(resource: SysctlResource): Found {
    const value = readSysctl(resource.path) ?? null;
    const family = forwardingFamily(resource.path);
    if (family === undefined) return { value };
    const tree: Record<string, string> = {};
    for (const path of changedByForwarding(family, confNames(family))) {
      const stands = path === resource.path ? undefined : readSysctl(path);
      if (stands !== undefined) tree[path] = stands;
    }
    return { value, tree };
  }

  /** Puts back what still is as our write left it; later changes by others stay. */
  restore(resource: SysctlResource, { value, tree = {} }: Found): boolean {
    const ours = resource.value ?? String(resource.atLeast);
    if (value === null || readSysctl(resource.path) !== ours) return false;
    const targets = Object.entries(tree).flatMap(([path, before]) => {
      const stands = readSysctl(path);
      if (stands === undefined) return [];
      return [{ path, target: value !== ours && stands === afterForwarding(path, ours) ? before : stands }];
    });
    writeSysctl(resource.path, value);
    for (const { path, target } of targets) if (readSysctl(path) !== target) writeSysctl(path, target);
    return true;
  }
}

/** Writes only where the value found falls short of what is wanted. */
function meet(wanted: SysctlResource): void {
  const stands = standingSysctl(wanted.path);
  if (stands === undefined && wanted.ifPresent) return;
  if (stands !== undefined && (wanted.value !== undefined ? stands === wanted.value : Number(stands) >= wanted.atLeast!)) return;
  writeSysctl(wanted.path, wanted.value ?? String(wanted.atLeast));
}

function confNames(family: 4 | 6): string[] {
  try {
    return readdirSync(`/proc/sys/net/ipv${family}/conf`);
  } catch {
    return [];
  }
}
