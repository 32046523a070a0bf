import { closeSync, existsSync, fdatasyncSync, ftruncateSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { syncDirectory, writeAll, writeAtomically } from "./files.ts";

/** What a log held when it was opened. `damaged` counts whole lines that were no JSON; an unfinished last line is not damage. */
export interface Recovered {
  entries: unknown[];
  damaged: number;
}

/**
 * An append-only file of JSON lines. An append is on the disk when it returns. A crash in the middle of one leaves an unfinished last line,
 * which was never acknowledged: opening cuts it off.
 */
export class LineLog {
  readonly #path: string;
  #fd: number;
  #bytes: number;

  private constructor(path: string, fd: number, bytes: number) {
    this.#path = path;
    this.#fd = fd;
    this.#bytes = bytes;
  }

  static open(path: string): { log: LineLog; recovered: Recovered } {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const fresh = !existsSync(path);
    const fd = openSync(path, "a", 0o600);
    if (fresh) syncDirectory(dirname(path));
    const { recovered, bytes, torn } = scan(path);
    if (torn) {
      ftruncateSync(fd, bytes);
      fdatasyncSync(fd);
    }
    return { log: new LineLog(path, fd, bytes), recovered };
  }

  /** The length of the file. */
  get bytes(): number {
    return this.#bytes;
  }

  append(entries: readonly unknown[]): void {
    if (entries.length > 0) this.#append(Buffer.from(linesOf(entries)));
  }

  /** Appends an entry that is JSON already, on one line and in any number of pieces; its bytes are not copied. */
  appendJson(json: readonly Buffer[]): void {
    if (json.some((piece) => piece.includes(newline))) throw new Error("an entry is one line");
    this.#append(...json, newline);
  }

  #append(...parts: Buffer[]): void {
    try {
      for (const part of parts) writeAll(this.#fd, part);
      fdatasyncSync(this.#fd);
    } catch (error) {
      // A half-written line (disk full) must not swallow the next good one.
      ftruncateSync(this.#fd, this.#bytes);
      throw error;
    }
    for (const { length } of parts) this.#bytes += length;
  }

  /** Replaces the whole content at once. */
  replace(entries: readonly unknown[]): void {
    const text = linesOf(entries);
    writeAtomically(this.#path, text);
    closeSync(this.#fd);
    this.#fd = openSync(this.#path, "a", 0o600);
    this.#bytes = Buffer.byteLength(text);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** Reads a log without opening it for writing. */
export function readLines(path: string): Recovered {
  return existsSync(path) ? scan(path).recovered : { entries: [], damaged: 0 };
}

const newline = Buffer.from("\n");

const linesOf = (entries: readonly unknown[]) => entries.map((entry) => `${JSON.stringify(entry)}\n`).join("");

function scan(path: string): { recovered: Recovered; bytes: number; torn: boolean } {
  const data = readFileSync(path);
  const bytes = data.lastIndexOf(0x0a) + 1;
  const recovered: Recovered = { entries: [], damaged: 0 };
  for (const line of data.toString("utf8", 0, bytes).split("\n")) {
    if (line === "") continue;
    try {
      recovered.entries.push(JSON.parse(line));
    } catch {
      recovered.damaged++;
    }
  }
  return { recovered, bytes, torn: bytes < data.length };
}
