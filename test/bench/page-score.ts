/** What the browser measured of one load of a page. Milliseconds, but `cls`, which has no unit. */
export interface Vitals {
  fcpMs: number;
  lcpMs: number;
  /** Beyond 50 ms of each long task. */
  blockingMs: number;
  cls: number;
}

/**
 * Lighthouse's curves for desktops: a value at `p10` scores 0.9, one at `median` 0.5. Source: Lighthouse's core/config/default-config and
 * audits; weights of version 10, without its Speed Index, which needs a film of the page.
 */
const curves = {
  fcpMs: { p10: 934, median: 1600, weight: 10 },
  lcpMs: { p10: 1200, median: 2400, weight: 25 },
  blockingMs: { p10: 150, median: 350, weight: 30 },
  cls: { p10: 0.1, median: 0.25, weight: 25 },
} as const satisfies Record<keyof Vitals, object>;

/** 0–100, as Lighthouse weighs these four. */
export function performanceScore(vitals: Vitals): number {
  let [got, most] = [0, 0];
  for (const [name, curve] of Object.entries(curves)) {
    got += curve.weight * logNormalScore(vitals[name as keyof Vitals], curve);
    most += curve.weight;
  }
  return (100 * got) / most;
}

/** 1 at nothing, 0.9 at `p10`, 0.5 at `median`: the upper tail of a log-normal distribution. */
export function logNormalScore(value: number, { p10, median }: { p10: number; median: number }): number {
  if (value <= 0) return 1;
  const inverseErfcOfFifth = 0.9061938024368232;
  return (1 - erf((Math.log(value / median) * inverseErfcOfFifth) / -Math.log(p10 / median))) / 2;
}

/** Abramowitz and Stegun 7.1.26; off by less than 2e-7. */
function erf(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const tail =
    t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * Math.exp(-x * x);
  return Math.sign(x) * (1 - tail);
}

/** 0–100: how many of some yes-or-no questions were answered well. */
export function share(answers: readonly boolean[]): number {
  return answers.length === 0 ? 0 : (100 * answers.filter(Boolean).length) / answers.length;
}
