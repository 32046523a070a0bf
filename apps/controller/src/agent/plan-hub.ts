/** Wakes the open stream of a node. Level-triggered: only the newest generation counts, so a slow reader never builds a queue. */
export class PlanHub {
  readonly #newest = new Map<string, number>();
  readonly #wakers = new Map<string, Set<() => void>>();
  /** Services to probe at once, by open stream of a node. */
  readonly #probes = new Map<string, Set<Set<string>>>();

  /** The node's plan is now of `generation`. */
  announce(nodeId: string, generation: number): void {
    if (generation <= (this.#newest.get(nodeId) ?? -1)) return;
    this.#newest.set(nodeId, generation);
    this.wake(nodeId);
  }

  /** Lets every waiting stream of the node look again, for instance because the node was revoked. */
  wake(nodeId: string): void {
    for (const waker of this.#wakers.get(nodeId) ?? []) waker();
  }

  /** The node shall probe a service at once. Nobody listening: its next probe comes anyway. */
  probe(nodeId: string, serviceId: string): void {
    for (const services of this.#probes.get(nodeId) ?? []) services.add(serviceId);
    this.wake(nodeId);
  }

  newest(nodeId: string): number | undefined {
    return this.#newest.get(nodeId);
  }

  get connected(): number {
    return this.#wakers.size;
  }

  isConnected(nodeId: string): boolean {
    return this.#wakers.has(nodeId);
  }

  /** Registers an open stream. `next` answers the newest generation past `since`, or null after `timeoutMs` or a wake without one. */
  follow(nodeId: string): {
    next(since: number, timeoutMs: number): Promise<number | null>;
    /** Services that were asked to be probed since the last call. */
    takeProbes(): string[];
    close(): void;
  } {
    let wake: (() => void) | null = null;
    let woken = false;
    const waker = () => {
      woken = true;
      wake?.();
    };
    const wakers = this.#wakers.get(nodeId) ?? new Set();
    this.#wakers.set(nodeId, wakers.add(waker));
    const services = new Set<string>();
    const probes = this.#probes.get(nodeId) ?? new Set();
    this.#probes.set(nodeId, probes.add(services));
    const newer = (since: number) => {
      const generation = this.#newest.get(nodeId);
      return generation !== undefined && generation > since ? generation : null;
    };
    return {
      async next(since, timeoutMs) {
        const now = newer(since);
        if (now !== null || woken) {
          woken = false;
          return now;
        }
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, timeoutMs);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
        wake = null;
        woken = false;
        return newer(since);
      },
      takeProbes() {
        const taken = [...services];
        services.clear();
        return taken;
      },
      close: () => {
        waker();
        probes.delete(services);
        if (probes.size === 0 && this.#probes.get(nodeId) === probes) this.#probes.delete(nodeId);
        wakers.delete(waker);
        if (wakers.size === 0 && this.#wakers.get(nodeId) === wakers) this.#wakers.delete(nodeId);
      },
    };
  }
}
