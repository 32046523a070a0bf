import type { StatisticsRange } from "@trigon/model";

/** A ring of slots: `slots` of them, `stepSeconds` long each. */
export interface Ring {
  stepSeconds: number;
  slots: number;
}

/** What is kept of each series; the oldest slot is overwritten by the newest. */
export const rings: Readonly<Record<StatisticsRange, Ring>> = {
  "1h": { stepSeconds: 10, slots: 360 },
  "24h": { stepSeconds: 300, slots: 288 },
  "30d": { stepSeconds: 3600, slots: 720 },
};

/** A row and its entry in the index take 310 once rings are full (`pg_total_relation_size`); the rest is what rewriting leaves free. */
const bytesPerSlot = 400;

/** The most that a service or a director takes once its rings are full. */
export const boundBytesEach = bytesPerSlot * Object.values(rings).reduce((sum, { slots }) => sum + slots, 0);

/** The beginnings of a range's slots, oldest first; the slot of now is not among them, as it is not over. */
export function slotsOf({ stepSeconds, slots }: Ring, nowMs: number): number[] {
  const stepMs = stepSeconds * 1000;
  const until = Math.floor(nowMs / stepMs) * stepMs;
  return Array.from({ length: slots - 1 }, (_, index) => until - (slots - 1 - index) * stepMs);
}
