import type { Duplex } from "node:stream";
import { deferred } from "./deferred.ts";
import { encodeFrame, FrameDecoder } from "./frames.ts";

export interface ExecOptions {
  cwd?: string;
  env?: Record<string, string>;
  /** Sent to the command's stdin, which is then closed. */
  input?: string | Buffer;
  /** Kill the command and reject after so long. */
  timeoutMs?: number;
}

export interface ExecResult {
  /** Exit code; 128 + N when signal N ended it; 127 not found, 126 not runnable. */
  code: number;
  signal?: number;
  stdout: string;
  stderr: string;
}

export interface ExecExit {
  code: number;
  signal?: number;
  /** Of a detached command. */
  pid?: number;
  error?: string;
  /** Of a control request. */
  result?: unknown;
}

export interface SpawnOptions extends Omit<ExecOptions, "input"> {
  onStdout?: (chunk: Buffer) => void;
  onStderr?: (chunk: Buffer) => void;
  /** Keep stdin open for `write` and `end`; otherwise it is /dev/null. */
  stdin?: boolean;
}

/** A running command in a lab host. It is killed when its connection ends, so a dead test leaves none behind. */
export class LabProcess {
  /** Pid inside the host (as its own /proc shows it). */
  readonly started: Promise<number>;
  /** Resolves when the command has ended and all its output was delivered; rejects when the host or the lab is gone. */
  readonly exited: Promise<ExecExit>;
  readonly #channel: Duplex;

  constructor(channel: Duplex, request: object, { onStdout, onStderr }: Pick<SpawnOptions, "onStdout" | "onStderr"> = {}) {
    this.#channel = channel;
    const pid = deferred<number>();
    const exit = deferred<ExecExit>();
    const decoder = new FrameDecoder();
    channel.on("data", (chunk: Buffer) => {
      for (const { type, payload } of decoder.push(chunk)) {
        if (type === "O") onStdout?.(payload);
        else if (type === "E") onStderr?.(payload);
        else if (type === "P") pid.resolve(Number(payload.toString()));
        else if (type === "X") {
          exit.resolve(JSON.parse(payload.toString()));
          pid.reject(new Error("the command did not start"));
          channel.end();
        }
      }
    });
    const lost = (error?: Error) => {
      const reason = new Error("the lab host went away", { cause: error });
      exit.reject(reason);
      pid.reject(reason);
    };
    channel.on("error", lost);
    channel.on("close", () => lost());
    // A caller may care for only one of the two.
    pid.promise.catch(() => {});
    exit.promise.catch(() => {});
    this.started = pid.promise;
    this.exited = exit.promise;
    channel.write(encodeFrame("R", JSON.stringify(request)));
    channel.resume();
  }

  write(data: string | Buffer): void {
    this.#channel.write(encodeFrame("I", data));
  }

  /** Closes the command's stdin. */
  end(): void {
    this.#channel.write(encodeFrame("E"));
  }

  /** Signals the command's whole process group (default SIGKILL) and waits for its end. */
  async kill(signal = 9): Promise<ExecExit> {
    this.signal(signal);
    return this.exited;
  }

  signal(signal: number): void {
    if (!this.#channel.destroyed && this.#channel.writable) this.#channel.write(encodeFrame("S", String(signal)));
  }
}

/** Runs a request to its end and collects what it wrote. */
export async function collect(
  channel: Duplex,
  request: object,
  { input, timeoutMs }: ExecOptions = {},
): Promise<{ exit: ExecExit; stdout: Buffer; stderr: Buffer }> {
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  const process = new LabProcess(channel, request, {
    onStdout: (chunk) => stdout.push(chunk),
    onStderr: (chunk) => stderr.push(chunk),
  });
  if (input !== undefined) {
    const data = Buffer.from(input);
    for (let offset = 0; offset < data.length; offset += 1 << 20) process.write(data.subarray(offset, offset + (1 << 20)));
    process.end();
  }
  let late = false;
  const timer = timeoutMs
    ? setTimeout(() => {
        late = true;
        process.signal(9);
      }, timeoutMs)
    : undefined;
  try {
    const exit = await process.exited;
    if (late) throw new Error(`timed out after ${timeoutMs} ms: ${JSON.stringify(request)}\n${Buffer.concat(stderr)}`);
    return { exit, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr) };
  } finally {
    clearTimeout(timer);
  }
}
