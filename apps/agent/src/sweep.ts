/** How the rolling look at everything that a node holds is spread over time. */
export interface SweepTimes {
  /** Milliseconds of one round, in which at most one slice is looked at. */
  sweepTickMs: number;
  /** Slices of a sweep, and rounds of the quickest. */
  sweepRounds: number;
  /** A table of so many keys is small: it has the quickest sweep, where that takes at most `sweepQuickShare` of one core. */
  sweepQuickKeys: number;
  sweepQuickShare: number;
  /** The share of one core that any other sweep may take: it lasts as long as that needs. */
  sweepShare: number;
  /** From so many keys on the look at everything is the sweep: slices far apart cost a multiple of it. It then has the share of both. */
  sweepWholeKeys: number;
  /** And is at least so often, however much a busy machine says that it cost. */
  sweepMostMs: number;
}

/** In how many rounds a sweep of so many keys, of this cost (milliseconds of CPU for all of it), is done. Pure. */
export function sweepRounds(keys: number, costMs: number, times: SweepTimes): number {
  const { sweepTickMs, sweepRounds: quickest, sweepQuickKeys, sweepQuickShare, sweepShare } = times;
  if (keys <= sweepQuickKeys && costMs <= sweepQuickShare * sweepTickMs * quickest) return quickest;
  return Math.max(quickest, Math.ceil(costMs / (sweepShare * sweepTickMs)));
}

/** Before any sweep was measured: CPU milliseconds for so many keys, on a machine of some years. */
export function guessedCostMs(keys: number): number {
  return 0.02 * keys;
}

/** Cuts keys into at most this many contiguous slices, since a service and its destinations follow one another and are read together. */
export function slicesOf(keys: readonly string[], rounds: number): string[][] {
  const size = Math.max(1, Math.ceil(keys.length / rounds));
  const slices: string[][] = [];
  for (let start = 0; start < keys.length; start += size) slices.push(keys.slice(start, start + size));
  return slices;
}
