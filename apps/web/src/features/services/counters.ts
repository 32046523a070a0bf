import type { Forwarding, ServiceCountersView } from "@trigon/model";

type Flow = Pick<ServiceCountersView, "rates" | "totals" | "replyBytes" | "replyBytesPerSecond">;

/** Whether replies pass the director by, so that only the real servers can count them. */
export function repliesDirectly(forwarding: Forwarding): boolean {
  return forwarding === "dr" || forwarding === "tun";
}

/** Bytes per second towards clients, wherever they were counted; null where nobody counts them. */
export function replyRate(forwarding: Forwarding, flow: Flow | undefined): number | null {
  if (flow === undefined) return null;
  return repliesDirectly(forwarding) ? flow.replyBytesPerSecond : flow.rates.outBytesPerSecond;
}

/** Bytes towards clients since the counters began; null where nobody counts them. */
export function replyTotal(forwarding: Forwarding, flow: Flow | undefined): number | null {
  if (flow === undefined) return null;
  return repliesDirectly(forwarding) ? flow.replyBytes : flow.totals.outBytes;
}
