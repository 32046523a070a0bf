"use client";
import { useSubscription } from "@trpc/tanstack-react-query";
import { useMemo } from "react";
import { useVisible } from "../../lib/live.ts";
import { useTRPC } from "../../lib/trpc.ts";

/** A request's address holds so many ids; rows further down the page go without. */
const most = 200;

/** The last minutes of services' traffic in both directions, bytes per second by service; empty until it comes. */
export function useSparklines(serviceIds: readonly string[] | undefined): ReadonlyMap<string, readonly (number | null)[]> {
  const trpc = useTRPC();
  const visible = useVisible();
  const ids = serviceIds?.slice(0, most) ?? [];
  const { data } = useSubscription(
    trpc.statistics.watchSparklines.subscriptionOptions({ serviceIds: ids }, { enabled: visible && ids.length > 0 }),
  );
  return useMemo(() => new Map(data?.services.map(({ serviceId, bytesPerSecond }) => [serviceId, bytesPerSecond])), [data]);
}
