/** What was left of a drain at a moment; both in any unit of time and count. */
export interface DrainSample {
  atMs: number;
  left: number;
}

/** How much of the past speaks for the future. */
const windowMs = 120_000;

/** Samples worth keeping for the next estimate. */
export function recent(samples: readonly DrainSample[], nowMs: number): DrainSample[] {
  return samples.filter(({ atMs }) => nowMs - atMs <= windowMs);
}

/**
 * Seconds until less than one is left, from the decay observed so far: the least-squares line through the logarithms, since connections end
 * independently of one another. Null while nothing is seen to decay. Pure.
 */
export function etaSeconds(samples: readonly DrainSample[]): number | null {
  const last = samples.at(-1);
  if (!last) return null;
  if (last.left <= 0) return 0;
  const points = samples.filter(({ left }) => left > 0).map(({ atMs, left }) => ({ x: atMs / 1000, y: Math.log(left) }));
  if (points.length < 3) return null;
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const x0 = mean(points.map(({ x }) => x));
  const y0 = mean(points.map(({ y }) => y));
  const spread = points.reduce((sum, { x }) => sum + (x - x0) ** 2, 0);
  const slope = points.reduce((sum, { x, y }) => sum + (x - x0) * (y - y0), 0) / spread;
  // Less than a thousandth a second is noise, not decay.
  if (!(slope < -0.001)) return null;
  return Math.ceil((Math.log(last.left) - Math.log(0.5)) / -slope);
}
