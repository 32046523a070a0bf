import type { StreamEvent } from "@trigon/model";

/** What is said once, and does not matter to who was not listening. */
type Word = Extract<StreamEvent, { type: "probe" | "ask" | "watch" }>;

/** Wakes the open stream of a node. Level-triggered: only the newest generation counts, so a slow reader never builds a queue. */
export class PlanHub {
  readonly #newest = new Map<string, number>();
  readonly #wakers = new Map<string, Set<() => void>>();
  /** Words not yet told, by open stream of a node. The same word twice is one. */
  readonly #words = new Map<string, Set<Map<string, Word>>>();

  #watchedUntil = Number.NEGATIVE_INFINITY;

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
    for (const words of this.#words.get(nodeId) ?? []) words.set(`probe ${serviceId}`, { type: "probe", serviceId });
    this.wake(nodeId);
  }

  /** The node shall answer a question: by its newest stream only, since one answer will do. */
  ask(nodeId: string, id: string, question: unknown): void {
    const newest = [...(this.#words.get(nodeId) ?? [])].at(-1);
    newest?.set(`ask ${id}`, { type: "ask", id, question });
    this.wake(nodeId);
  }

  /** Somebody looks at figures: told to all nodes, and to those that come while it holds. */
  watch(seconds: number): void {
    this.#watchedUntil = Math.max(this.#watchedUntil, performance.now() + seconds * 1000);
    for (const [nodeId, streams] of this.#words) {
      for (const words of streams) words.set("watch", { type: "watch", seconds });
      this.wake(nodeId);
    }
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
    /** What was said since the last call. */
    takeWords(): Word[];
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
    const words = new Map<string, Word>();
    const seconds = (this.#watchedUntil - performance.now()) / 1000;
    if (seconds > 0) {
      words.set("watch", { type: "watch", seconds });
      woken = true;
    }
    const listeners = this.#words.get(nodeId) ?? new Set();
    this.#words.set(nodeId, listeners.add(words));
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
      takeWords() {
        const taken = [...words.values()];
        words.clear();
        return taken;
      },
      close: () => {
        waker();
        listeners.delete(words);
        if (listeners.size === 0 && this.#words.get(nodeId) === listeners) this.#words.delete(nodeId);
        wakers.delete(waker);
        if (wakers.size === 0 && this.#wakers.get(nodeId) === wakers) this.#wakers.delete(nodeId);
      },
    };
  }
}
