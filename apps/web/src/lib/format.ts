/** Figures as an operator reads them. Decimal units (1 Mbit/s is 1,000,000 bit/s), as links and meters count. */

const bitUnits = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"] as const;
const byteUnits = ["B", "kB", "MB", "GB", "TB", "PB"] as const;

/** Three significant digits at most, and a unit; a dash where nothing is known. */
function scaled(value: number | null | undefined, units: readonly string[]): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  let index = 0;
  let rest = Math.max(0, value);
  while (rest >= 999.5 && index < units.length - 1) {
    rest /= 1000;
    index++;
  }
  return `${digits(rest, index === 0)} ${units[index]}`;
}

function digits(value: number, whole: boolean): string {
  if (whole || value >= 99.95) return String(Math.round(value));
  return value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

/** `bytesPerSecond` shown in bits per second. */
export function bitRate(bytesPerSecond: number | null | undefined): string {
  return scaled(bytesPerSecond === null || bytesPerSecond === undefined ? null : bytesPerSecond * 8, bitUnits);
}

/** Bits per second as they are, for axes. */
export function bitsPerSecond(value: number | null | undefined): string {
  return scaled(value, bitUnits);
}

/** Connections or packets per second with k, M and G: short enough for an axis. */
export function countPerSecond(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value < 999.5)
    return value >= 9.95 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(value < 0.95 ? 2 : 1);
  return scaled(value, ["", "k", "M", "G"]);
}

export function byteCount(bytes: number | null | undefined): string {
  return scaled(bytes, byteUnits);
}

/** Connections per second: whole from ten on, one decimal below. */
export function perSecond(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  return value >= 9.95 || value === 0 ? String(Math.round(value)) : value.toFixed(1);
}
