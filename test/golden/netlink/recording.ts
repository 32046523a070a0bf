import { readFileSync } from "node:fs";
import { join } from "node:path";

/** What one run of `ipvsadm` or `ip` sent and received, a hex string for each message (see README.md). */
export interface Recording {
  name: string;
  command: string;
  sent: string[];
  received: string[];
  /** Output of a program that was run right after, as an oracle. */
  after?: string;
}

const recordings = JSON.parse(readFileSync(join(import.meta.dirname, "recorded.json"), "utf8")) as Recording[];

export function recorded(name: string): Recording {
  const found = recordings.find((recording) => recording.name === name);
  if (!found) throw new Error(`nothing was recorded as ${name}`);
  return found;
}
