import type { Resource } from "@trigon/model";
import type { Found, Journal, JournalEntry, Ledger } from "@trigon/reconciler";
import { z } from "zod";
import { LineLog, readLines } from "./line-log.ts";

/** Lines come from this program's own past: their outline is checked, the resource inside is taken as written. */
const Line = z.discriminatedUnion("op", [
  z.object({
    op: z.literal("claim"),
    bootId: z.string(),
    key: z.string(),
    resource: z.custom<Resource>((value) => typeof value === "object" && value !== null && "kind" in value),
    found: z.custom<Found>((value) => typeof value === "object").nullable(),
  }),
  z.object({ op: z.literal("release"), bootId: z.string(), key: z.string() }),
]);

const compactAbove = 4 * 1024 * 1024;

/** The intent journal on disk: what this agent is about to make, written before it makes it. */
export class JournalFile implements Journal {
  readonly #log: LineLog;
  #compactAt = compactAbove;

  private constructor(log: LineLog) {
    this.#log = log;
  }

  /** `damaged`: lines that could not be read. What they claimed is not known to be ours any more. */
  static open(path: string): { journal: JournalFile; entries: JournalEntry[]; damaged: number } {
    const { log, recovered } = LineLog.open(path);
    return { journal: new JournalFile(log), ...checked(recovered) };
  }

  append(entries: readonly JournalEntry[]): void {
    this.#log.append(entries);
  }

  /** Rewrites the file as the shortest one with the same meaning, once it has grown enough to be worth it. Off the hot path. */
  compact(ledger: Ledger): void {
    if (this.#log.bytes < this.#compactAt) return;
    this.#log.replace(ledger.entries());
    this.#compactAt = Math.max(compactAbove, this.#log.bytes * 2);
  }

  close(): void {
    this.#log.close();
  }
}

/** The journal's entries without opening it for writing. */
export function readJournal(path: string): { entries: JournalEntry[]; damaged: number } {
  return checked(readLines(path));
}

function checked(recovered: { entries: unknown[]; damaged: number }): { entries: JournalEntry[]; damaged: number } {
  let { damaged } = recovered;
  const entries: JournalEntry[] = [];
  for (const candidate of recovered.entries) {
    const line = Line.safeParse(candidate);
    if (line.success) entries.push(line.data);
    else damaged++;
  }
  return { entries, damaged };
}
