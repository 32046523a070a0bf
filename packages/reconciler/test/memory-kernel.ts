import { type Facts, kindOfKey, type Resource, resourceKey, serviceKeyOf } from "@trigon/model";
import type { Action, ActionResult, Found, Kernel, KernelCounters, KernelFailure } from "../src/kernel.ts";

const absent = (code: string, key: string): ActionResult => ({ ok: false, failure: { code, message: `${code} ${key}` } });

/** A kernel holds values, not wishes. */
function asHeld(to: Resource): Resource {
  if (to.kind === "sysctl") return { kind: "sysctl", key: to.key, path: to.path, value: to.value ?? String(to.atLeast) };
  if (to.kind === "linkState") return { kind: "linkState", key: to.key, name: to.name, up: to.up };
  return to;
}

/** A kernel of keys and values, with the few rules of the real one that passes depend on. Its own oracle: tests read `held` and `log`. */
export class MemoryKernel implements Kernel {
  readonly held = new Map<string, Resource>();
  readonly log: string[] = [];
  observedKeys = 0;
  /** Answers a failure for an action, or nothing to let it happen. */
  failing: (action: Action) => KernelFailure | undefined = () => undefined;

  constructor(held: Iterable<Resource> = []) {
    for (const resource of held) this.held.set(resource.key, resource);
  }

  async observe(keys: readonly string[]): Promise<Map<string, Resource>> {
    this.observedKeys += keys.length;
    return new Map(keys.flatMap((key) => (this.held.has(key) ? [[key, this.held.get(key)!] as const] : [])));
  }

  async observeAll(also: readonly string[]): Promise<Map<string, Resource>> {
    const named = new Set(also);
    return new Map([...this.held].filter(([key]) => !["module", "sysctl"].includes(kindOfKey(key)) || named.has(key)));
  }

  async found(actions: readonly Action[]): Promise<Map<string, Found>> {
    const found = new Map<string, Found>();
    for (const action of actions) {
      if (action.op === "delete") continue;
      const have = this.held.get(action.to.key);
      if (have?.kind === "sysctl") found.set(have.key, { value: have.value ?? null });
      if (have?.kind === "linkState") found.set(have.key, { value: have.up ? "up" : "down" });
    }
    return found;
  }

  async apply(actions: readonly Action[]): Promise<ActionResult[]> {
    return actions.map((action) => this.#one(action));
  }

  #one(action: Action): ActionResult {
    const key = action.op === "delete" ? action.from.key : action.to.key;
    const failure = this.failing(action);
    this.log.push(`${action.op} ${key}`);
    if (failure) return { ok: false, failure };
    if (action.op === "delete") {
      if (!this.held.has(key)) return absent("ESRCH", key);
      this.#drop(key);
      return { ok: true };
    }
    const { to } = action;
    const isSetting = to.kind === "sysctl" || to.kind === "linkState" || to.kind === "module";
    if (action.op === "create" && this.held.has(key) && !isSetting) return absent("EEXIST", key);
    if (action.op === "update" && !this.held.has(key)) return absent("ESRCH", key);
    const device =
      to.kind === "sysctl" ? /conf\/(trg-[^/]+)/.exec(to.path)?.[1] : to.kind === "address" ? to.interface : undefined;
    if (device?.startsWith("trg-") && !this.held.has(resourceKey.link(device))) return absent("ENODEV", key);
    if (to.kind === "ipvsDestination" && !this.held.has(to.service)) return absent("ESRCH", key);
    this.held.set(key, asHeld(to));
    if (to.kind === "link")
      this.held.set(resourceKey.linkState(to.name), {
        kind: "linkState",
        key: resourceKey.linkState(to.name),
        name: to.name,
        up: false,
      });
    return { ok: true };
  }

  #drop(key: string): void {
    const gone = this.held.get(key);
    this.held.delete(key);
    for (const [other, resource] of [...this.held]) {
      const isPart =
        (gone?.kind === "link" &&
          ((resource.kind === "linkState" && resource.name === gone.name) ||
            (resource.kind === "address" && resource.interface === gone.name) ||
            (resource.kind === "sysctl" && resource.path.includes(`/${gone.name}/`)))) ||
        (gone?.kind === "ipvsService" && resource.kind === "ipvsDestination" && serviceKeyOf(other) === key);
      if (isPart) this.held.delete(other);
    }
  }

  async restore(resource: Resource, found: Found): Promise<boolean> {
    this.log.push(`restore ${resource.key} ${found.value}`);
    const have = this.held.get(resource.key);
    if (!have || found.value === null) return false;
    if (have.kind === "sysctl") {
      if (resource.kind !== "sysctl" || have.value !== (resource.value ?? String(resource.atLeast))) return false;
      this.held.set(resource.key, { kind: "sysctl", key: resource.key, path: have.path, value: found.value });
    }
    if (have.kind === "linkState") this.held.set(resource.key, { ...have, up: found.value === "up" });
    return true;
  }

  facts(): Promise<Facts> {
    throw new Error("passes need no facts");
  }
  async probe() {
    return [];
  }
  async otherHolders() {
    return new Map();
  }
  async announce(): Promise<void> {}
  async tidy(): Promise<void> {}
  watch() {
    return { close() {} };
  }
  async counters(): Promise<KernelCounters> {
    return { services: new Map(), destinations: new Map(), rules: new Map() };
  }
  async eachConnection(): Promise<void> {}

  async connections(): Promise<[]> {
    return [];
  }

  async close(): Promise<void> {}
}
