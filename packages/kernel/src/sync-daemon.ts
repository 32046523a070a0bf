import { resourceKey, type SyncDaemonResource } from "@trigon/model";
import type { IpvsClient } from "@trigon/netlink";
import type { ActionResult } from "@trigon/reconciler";
import type { ActionOn, Adapter } from "./adapter.ts";
import { attempt, KernelError } from "./failure.ts";

/** The kernel's daemons that carry connections to and from other directors: one of each state in a network namespace. */
export class SyncDaemonAdapter implements Adapter<"syncDaemon"> {
  readonly kinds = ["syncDaemon"] as const;
  readonly #open: () => Promise<IpvsClient | undefined>;

  /** `open` answers undefined while the kernel has no IPVS loaded. */
  constructor(open: () => Promise<IpvsClient | undefined>) {
    this.#open = open;
  }

  async observe(keys: readonly string[]): Promise<SyncDaemonResource[]> {
    const wanted = new Set(keys);
    return (await this.observeAll()).filter(({ key }) => wanted.has(key));
  }

  async observeAll(): Promise<SyncDaemonResource[]> {
    const client = await this.#open();
    const daemons = (await client?.listDaemons()) ?? [];
    return daemons.map(({ state, interface: name, syncId }) => ({
      kind: "syncDaemon",
      key: resourceKey.syncDaemon(state),
      state,
      interface: name,
      syncId,
    }));
  }

  async apply(actions: readonly ActionOn<"syncDaemon">[]): Promise<ActionResult[]> {
    const results: ActionResult[] = [];
    for (const action of actions) {
      const { state } = action.op === "delete" ? action.from : action.to;
      results.push(await attempt(`${action.op} the sync daemon ${state}`, () => this.#carryOut(action)));
    }
    return results;
  }

  async #carryOut(action: ActionOn<"syncDaemon">): Promise<void> {
    const client = await this.#open();
    if (!client) throw new KernelError("ENOENT", "Could not change the sync daemons: module ip_vs is not loaded");
    if (action.op !== "create") await client.delDaemon(action.from);
    if (action.op === "delete") return;
    const { state, interface: name, syncId } = action.to;
    await client.newDaemon({ state, interface: name, syncId });
  }
}
