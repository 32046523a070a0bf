import type { StatisticsView } from "@trigon/model";

/** When the newest known point ends, in milliseconds; null when nothing is known. */
export function lastKnownMs(view: Pick<StatisticsView, "connectionsPerSecond" | "from" | "stepSeconds">): number | null {
  const index = view.connectionsPerSecond.findLastIndex((value) => value !== null);
  return index < 0 ? null : Date.parse(view.from) + (index + 1) * view.stepSeconds * 1000;
}
