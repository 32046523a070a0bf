import { type Logger, pino } from "pino";

export type Log = Logger;

/** JSON lines on standard output. Secrets never reach it: neither headers nor bodies are logged. */
export function createLog(level: string): Log {
  return pino({ level, base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime });
}
