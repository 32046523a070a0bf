export type LogFields = Record<string, unknown>;

/** Structured lines for journald or a file. */
export interface Log {
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** One JSON object a line on standard output, in pino's shape. */
export function createLog(write: (line: string) => void = (line) => process.stdout.write(line)): Log {
  const at =
    (level: number) =>
    (msg: string, fields: LogFields = {}) =>
      write(`${JSON.stringify({ level, time: new Date().toISOString(), msg, ...fields })}\n`);
  return { info: at(30), warn: at(40), error: at(50) };
}

export const silentLog: Log = { info() {}, warn() {}, error() {} };

/** The message of anything thrown, with its cause's when it has one. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? error.cause : undefined;
  const code = (cause as NodeJS.ErrnoException | undefined)?.code;
  return cause ? `${error.message}: ${cause.message}${code && !cause.message.includes(code) ? ` (${code})` : ""}` : error.message;
}
