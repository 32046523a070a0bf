/** Median, and the spread between the least and the most, of at least one figure. */
export interface Spread {
  median: number;
  least: number;
  most: number;
}

export function quantile(figures: readonly number[], share: number): number {
  const sorted = figures.toSorted((a, b) => a - b);
  const at = Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1));
  const figure = sorted[at];
  if (figure === undefined) throw new Error("no figures");
  return figure;
}

export function spread(figures: readonly number[]): Spread {
  const sorted = figures.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median =
    sorted.length % 2 === 1 ? sorted[middle] : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
  const least = sorted[0];
  const most = sorted.at(-1);
  if (median === undefined || least === undefined || most === undefined) throw new Error("no figures");
  return { median, least, most };
}

/** `12.3 (11.9–14.0)` */
export function shown({ median, least, most }: Spread, digits = 1): string {
  return `${median.toFixed(digits)} (${least.toFixed(digits)}–${most.toFixed(digits)})`;
}
