import type { Kernel } from "@trigon/reconciler";
import { type Log, reasonOf } from "./log.ts";
import type { NodeLoop } from "./loop.ts";

/** A VIP of this director that somebody else holds too. */
export interface Duplicate {
  vip: string;
  interface: string;
  /** Link addresses of the others. */
  macs: readonly string[];
}

/** Every VIP is asked for once in a round, a share of them at each step. */
export const duplicateTimes = { roundMs: 30_000, steps: 10 };

/** So many rounds without an answer, and it is held by nobody else any more. */
const silentRounds = 2;

type Subject = Pick<NodeLoop, "desired" | "seen" | "duplicateEvent">;

/** Asks from time to time who else holds this director's VIPs: somebody may have put one up by hand after it was bound here. */
export class Duplicates {
  readonly #options: { loop: Subject; kernel: Pick<Kernel, "otherHolders">; onChange: () => void; log: Log };
  readonly #times: typeof duplicateTimes;
  readonly #found = new Map<string, Duplicate & { silent: number }>();
  #steps: { interface: string; address: string }[][] = [];
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(
    options: { loop: Subject; kernel: Pick<Kernel, "otherHolders">; onChange: () => void; log: Log },
    times = duplicateTimes,
  ) {
    this.#options = options;
    this.#times = times;
  }

  get found(): Duplicate[] {
    return [...this.#found.values()].map(({ vip, interface: name, macs }) => ({ vip, interface: name, macs }));
  }

  start(): void {
    this.#timer = setTimeout(() => {
      this.#step()
        .catch((error: unknown) => this.#options.log.warn("VIPs could not be asked for", { reason: reasonOf(error) }))
        .finally(() => {
          if (!this.#isClosed) this.start();
        });
    }, this.#times.roundMs / this.#times.steps);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async #step(): Promise<void> {
    if (this.#steps.length === 0) this.#steps = this.#cut();
    const asked = this.#steps.pop() ?? [];
    if (asked.length === 0) return;
    const held = await this.#options.kernel.otherHolders(asked);
    let hasNews = false;
    for (const one of asked) hasNews = this.#learn(one, held.get(one.address)) || hasNews;
    if (hasNews) this.#options.onChange();
  }

  /** Answers whether that is news. */
  #learn(
    { interface: name, address: vip }: { interface: string; address: string },
    macs: readonly string[] | undefined,
  ): boolean {
    const before = this.#found.get(vip);
    if (macs) {
      this.#found.set(vip, { vip, interface: name, macs, silent: 0 });
      if (before?.macs.join() === macs.join()) return false;
      this.#options.loop.duplicateEvent(vip, `${vip} is held by ${macs.join(" and ")} too, on the link of ${name}`);
      return true;
    }
    if (!before || ++before.silent < silentRounds) return false;
    this.#found.delete(vip);
    this.#options.loop.duplicateEvent(vip, `${vip} is held by nobody else any more: ${before.macs.join(" and ")} is silent`);
    return true;
  }

  /** The VIPs that are bound now, in as many steps as a round has; those that are gone are forgotten. */
  #cut(): { interface: string; address: string }[][] {
    const { desired, seen } = this.#options.loop;
    const steps: { interface: string; address: string }[][] = Array.from({ length: this.#times.steps }, () => []);
    const bound = new Set<string>();
    for (const id of desired.fragmentIds()) {
      if (!id.startsWith("dv:")) continue;
      for (const resource of desired.fragment(id)?.resources ?? []) {
        if (resource.kind !== "address" || !seen.has(resource.key)) continue;
        steps[bound.size % this.#times.steps]!.push({ interface: resource.interface, address: resource.address });
        bound.add(resource.address);
      }
    }
    for (const vip of this.#found.keys()) if (!bound.has(vip)) this.#found.delete(vip);
    return steps;
  }
}
