/** The next round figure at or above a value: 1, 2 or 5 times a power of ten; 1 for 0. Axes end there. */
export function niceCeiling(value: number): number {
  if (!(value > 0) || !Number.isFinite(value)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  const factor = [1, 2, 5, 10].find((one) => value <= one * power * (1 + 1e-9)) ?? 10;
  return factor * power;
}

/** Spans without any value, as first index and length. */
export function gapsOf(values: readonly (number | null)[]): { from: number; length: number }[] {
  const gaps: { from: number; length: number }[] = [];
  values.forEach((value, index) => {
    const last = gaps.at(-1);
    if (value !== null) return;
    if (last && last.from + last.length === index) last.length++;
    else gaps.push({ from: index, length: 1 });
  });
  return gaps;
}
