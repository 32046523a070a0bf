import { setTimeout as sleep } from "node:timers/promises";
import { type ListeningSockets, listenerOf, listeningSockets } from "@trigon/kernel";
import type { Fragment, Listener } from "@trigon/model";
import { type Log, reasonOf } from "../log.ts";

/** How often listening sockets are looked at: two short reads. */
const lookMs = 500;

export interface ListenersOptions {
  loop: { readonly fragments: ReadonlyMap<string, Fragment> };
  link: { hint(serviceIds: string[]): Promise<void>; readonly state: { state: string } };
  log: Log;
  signal: AbortSignal;
  /** Given in tests. */
  read?: () => ListeningSockets;
}

/**
 * A real server's agent sees its listeners come and go long before the next check does: it says so, and the director checks at once. A hint
 * that is lost harms nothing.
 */
export async function watchListeners({ loop, link, log, signal, read = listeningSockets }: ListenersOptions): Promise<void> {
  const last = new Map<string, Listener>();
  while (!signal.aborted) {
    const changed = lookAtListeners(loop.fragments, last, read);
    if (changed.length > 0 && link.state.state === "streaming")
      await link
        .hint(changed)
        .catch((error) => log.warn("Directors could not be told of a listener", { reason: reasonOf(error) }));
    await sleep(lookMs, undefined, { signal }).catch(() => undefined);
  }
}

/** Services whose listener is another than in `last`, which is brought up to date. What was not known before is no change. */
export function lookAtListeners(
  fragments: ReadonlyMap<string, Fragment>,
  last: Map<string, Listener>,
  read: () => ListeningSockets,
): string[] {
  const changed = new Set<string>();
  let sockets: ListeningSockets | undefined;
  const known = new Set<string>();
  for (const fragment of fragments.values()) {
    if (fragment.kind !== "realServer.serve" || fragment.protocol !== "tcp") continue;
    sockets ??= read();
    known.add(fragment.id);
    const now = listenerOf(sockets, fragment.vip, fragment.port);
    const before = last.get(fragment.id);
    last.set(fragment.id, now);
    if (before !== undefined && before !== now) changed.add(fragment.serviceId);
  }
  for (const id of last.keys()) if (!known.has(id)) last.delete(id);
  return [...changed];
}
