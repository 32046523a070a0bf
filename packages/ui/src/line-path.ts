/** An SVG path over evenly spaced values, 0 at the bottom and `max` at the top; a null lifts the pen. */
export function linePath(values: readonly (number | null)[], box: { width: number; height: number; max: number }): string {
  const step = values.length > 1 ? box.width / (values.length - 1) : 0;
  let path = "";
  let down = false;
  values.forEach((value, index) => {
    if (value === null) {
      down = false;
      return;
    }
    const y = box.height - (Math.min(value, box.max) / box.max) * box.height;
    path += `${down ? "L" : "M"}${round(index * step)} ${round(y)}`;
    down = true;
  });
  return path;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
