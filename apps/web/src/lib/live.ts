"use client";
import { type QueryFilters, useQueryClient } from "@tanstack/react-query";
import type { ServiceCountersView } from "@trigon/model";
import { useSubscription } from "@trpc/tanstack-react-query";
import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { useTRPC } from "./trpc.ts";

/** Reports of nodes change what is shown without any write; this bounds how old a page can get between two invalidations. */
export const live = { refetchInterval: 5000 } as const;

/** A browser opens six connections to one host: a tab nobody looks at holds no stream. */
export function useVisible(): boolean {
  return useSyncExternalStore(
    (listener) => {
      document.addEventListener("visibilitychange", listener);
      return () => document.removeEventListener("visibilitychange", listener);
    },
    () => document.visibilityState === "visible",
    () => true,
  );
}

type Kind = "virtualService" | "node" | "enrollmentToken";

/** Refetches what a page shows as soon as the controller says that objects of this kind changed. */
export function useWatch(kind: Kind): void {
  const trpc = useTRPC();
  const visible = useVisible();
  const queryClient = useQueryClient();
  const refetch = useMemo(() => {
    const touched: QueryFilters[] = [
      trpc.virtualService.rows.pathFilter(),
      trpc.virtualService.get.pathFilter(),
      trpc.overview.pathFilter(),
      trpc.node.pathFilter(),
      trpc.directorGroup.pathFilter(),
      trpc.change.pathFilter(),
      trpc.enrollmentToken.pathFilter(),
    ];
    return throttle(() => {
      for (const filter of touched) void queryClient.invalidateQueries(filter);
    }, 250);
  }, [trpc, queryClient]);
  // Once more when the stream begins: what came between the page's own reading and that is told by nobody.
  const options = { enabled: visible, onStarted: refetch, onData: refetch, onError: refetch };
  useSubscription(
    kind === "virtualService"
      ? trpc.virtualService.watch.subscriptionOptions(undefined, options)
      : kind === "node"
        ? trpc.node.watch.subscriptionOptions(undefined, options)
        : trpc.enrollmentToken.watch.subscriptionOptions(undefined, options),
  );
}

/** Runs at once and then at most every `intervalMs`, never dropping the last call. */
function throttle(run: () => void, intervalMs: number): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let again = false;
  return function call() {
    if (timer !== undefined) {
      again = true;
      return;
    }
    run();
    timer = setTimeout(() => {
      timer = undefined;
      if (again) {
        again = false;
        call();
      }
    }, intervalMs);
  };
}

export type CountersById = ReadonlyMap<string, ServiceCountersView>;

/** Live counters by service, every second or, of many services, every two; undefined until the first arrive. */
export function useCounters(serviceIds: string[]): CountersById | undefined {
  const trpc = useTRPC();
  const visible = useVisible();
  const enabled = visible && serviceIds.length > 0;
  const { data } = useSubscription(trpc.virtualService.watchCounters.subscriptionOptions({ serviceIds }, { enabled }));
  return useMemo(() => (data ? new Map(data.map((counters) => [counters.serviceId, counters])) : undefined), [data]);
}

/** The last samples of one service's counters while the page is open, oldest first. */
export function useCountersHistory(counters: ServiceCountersView | undefined, length: number): readonly ServiceCountersView[] {
  const [history, setHistory] = useState<readonly ServiceCountersView[]>([]);
  const last = useRef<ServiceCountersView | undefined>(undefined);
  useEffect(() => {
    if (counters === undefined || counters === last.current) return;
    last.current = counters;
    setHistory((before) => [...before.slice(1 - length), counters]);
  }, [counters, length]);
  return history;
}
