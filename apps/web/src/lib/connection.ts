"use client";
import { useSyncExternalStore } from "react";

let lostAt: Date | null = null;
const listeners = new Set<() => void>();

/** Called after every answer, good or bad: whether the controller can be reached. */
export function setReachable(reachable: boolean): void {
  if (reachable === (lostAt === null)) return;
  lostAt = reachable ? null : new Date();
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Since when the controller has been out of reach; null while it answers. */
export function useLostAt(): Date | null {
  return useSyncExternalStore(
    subscribe,
    () => lostAt,
    () => null,
  );
}
