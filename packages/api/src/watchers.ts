import type { WatchKind } from "./services.ts";
import type { Invalidation } from "./shapes.ts";

/** Events that come faster than this are told together. */
const gatherMs = 100;

interface Watcher {
  kind: WatchKind;
  /** Null: anything may have changed. Undefined: nothing to tell. */
  news: Set<string> | null | undefined;
  wake: () => void;
}

/** Tells subscribers that something changed, never what: a slow one gets one event for many changes. */
export class Watchers {
  readonly #watchers = new Set<Watcher>();
  readonly #sequence: () => number;

  constructor(sequence: () => number) {
    this.#sequence = sequence;
  }

  emit(kind: WatchKind, ids: Iterable<string> | null): void {
    for (const watcher of this.#watchers) {
      if (watcher.kind !== kind) continue;
      if (ids === null) watcher.news = null;
      else if (watcher.news !== null) {
        watcher.news ??= new Set();
        for (const id of ids) watcher.news.add(id);
        if (watcher.news.size === 0) watcher.news = undefined;
      }
      if (watcher.news !== undefined) watcher.wake();
    }
  }

  /** Invalidations until the signal. One that comes back (`after` is given) may have missed anything, so it is told so at once. */
  async *watch(kind: WatchKind, after: number | undefined, signal: AbortSignal): AsyncGenerator<Invalidation> {
    const watcher: Watcher = { kind, news: after === undefined ? undefined : null, wake: () => undefined };
    const onAbort = () => watcher.wake();
    this.#watchers.add(watcher);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      while (!signal.aborted) {
        if (watcher.news === undefined) {
          await new Promise<void>((resolve) => {
            watcher.wake = resolve;
          });
          continue;
        }
        const ids = watcher.news === null ? null : [...watcher.news];
        watcher.news = undefined;
        yield { sequence: Math.max(0, this.#sequence()), ids };
        await new Promise((resolve) => setTimeout(resolve, gatherMs));
      }
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#watchers.delete(watcher);
    }
  }
}
