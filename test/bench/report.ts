import { writeFileSync } from "node:fs";
import { resolve } from "node:path";

export interface BenchReport {
  title: string;
  rows: readonly (readonly [string, string])[];
  figures: Record<string, number>;
}

/** Prints a bench's table and figures, and writes the figures where `--json FILE` says. */
export function report({ title, rows, figures }: BenchReport, argv = process.argv): void {
  const width = Math.max(...rows.map(([name]) => name.length));
  console.log(`\n${title}\n`);
  for (const [name, value] of rows) console.log(name ? `  ${name.padEnd(width)}  ${value}` : "");
  console.log("");
  for (const [name, value] of Object.entries(figures)) console.log(`  ${name.padEnd(width)}  ${Number(value.toPrecision(4))}`);
  const at = argv.indexOf("--json");
  if (at < 0) return;
  const file = argv[at + 1];
  if (!file) throw new Error("--json needs a file name");
  writeFileSync(resolve(file), `${JSON.stringify(figures, null, 2)}\n`);
}
