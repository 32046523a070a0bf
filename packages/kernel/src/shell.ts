import { type ChildProcessByStdio, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import type { Readable, Writable } from "node:stream";
import type { RunResult } from "./run.ts";

/** A program with all it needs. */
export interface Job {
  /** Its path: nobody looks for it. */
  path: string;
  args: readonly string[];
  /** Text without NUL; a last line without an end gets one. */
  input: string | undefined;
  timeoutMs: number;
}

/** Idle shells that are kept: a second one serves what comes while a slow program runs. */
const mostIdle = 2;

/**
 * Starts programs by way of small shells that stay. A process as large as Node's takes tens of milliseconds to fork, stands still meanwhile, and
 * touches its memory anew afterwards; a shell takes one. Never holds up the end of this process, which is the end of the shells too.
 */
export class Shells {
  readonly #environment: NodeJS.ProcessEnv;
  readonly #idle: Shell[] = [];

  constructor(environment: NodeJS.ProcessEnv) {
    this.#environment = environment;
  }

  /** Resolves when the program has ended; null when it had to be killed because it took too long. */
  async run(job: Job): Promise<RunResult | null> {
    let shell = this.#idle.pop();
    while (shell && !shell.isAlive) shell = this.#idle.pop();
    shell ??= new Shell(this.#environment);
    const result = await shell.run(job);
    if (shell.isAlive && this.#idle.length < mostIdle) this.#idle.push(shell);
    else shell.end();
    return result;
  }
}

/** One shell, with one program at a time. */
class Shell {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  /** Nobody's output holds it: it ends what a program printed. */
  readonly #token = randomBytes(16).toString("hex");
  #isAlive = true;
  #trouble: Error | undefined;
  #output: { stdout: Buffer[]; stderr: Buffer[]; look: () => void } | undefined;

  constructor(environment: NodeJS.ProcessEnv) {
    // A process group of its own, so that a program that takes too long goes with all that it started.
    this.#child = spawn("/bin/sh", [], { env: environment, stdio: ["pipe", "pipe", "pipe"], detached: true });
    const { stdin, stdout, stderr } = this.#child;
    stdin.on("error", () => undefined);
    stdout.on("data", (chunk: Buffer) => this.#take("stdout", chunk));
    stderr.on("data", (chunk: Buffer) => this.#take("stderr", chunk));
    const over = (error?: Error) => {
      this.#isAlive = false;
      this.#trouble ??= error;
      this.#output?.look();
    };
    this.#child.once("error", over);
    this.#child.once("close", () => over());
    this.#hold(false);
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  run({ path, args, input, timeoutMs }: Job): Promise<RunResult | null> {
    this.#hold(true);
    const words = [path, ...args].map(quoted).join(" ");
    const token = this.#token;
    const from = input === undefined || input === "" ? "</dev/null" : `<<'${token}'\n${input.replace(/\n?$/, "\n")}${token}`;
    this.#child.stdin.write(`${words} ${from}\nprintf '%s %s\\n' ${token} "$?"\nprintf '%s\\n' ${token} >&2\n`);
    return new Promise<RunResult | null>((resolve, reject) => {
      let isLate = false;
      const timer = setTimeout(() => {
        isLate = true;
        this.#kill();
      }, timeoutMs);
      const look = () => {
        const { stdout, stderr } = this.#output!;
        const said = ended(stdout, token);
        const warned = ended(stderr, token);
        if (this.#isAlive && !(said && warned)) return;
        clearTimeout(timer);
        this.#output = undefined;
        this.#hold(false);
        if (said && warned) resolve({ code: Number(said.tail), stdout: said.text, stderr: warned.text });
        else if (isLate) resolve(null);
        else reject(this.#trouble ?? new Error(`the shell that ran ${path} ended`));
      };
      this.#output = { stdout: [], stderr: [], look };
      if (!this.#isAlive) look();
    });
  }

  end(): void {
    this.#child.stdin.end();
  }

  #take(stream: "stdout" | "stderr", chunk: Buffer): void {
    this.#output?.[stream].push(chunk);
    this.#output?.look();
  }

  #kill(): void {
    try {
      process.kill(-this.#child.pid!, "SIGKILL");
    } catch {
      // gone already
    }
  }

  /** Whether this process waits for the shell. */
  #hold(on: boolean): void {
    const { stdin, stdout, stderr } = this.#child;
    for (const each of [this.#child, stdin, stdout, stderr] as { ref?(): void; unref?(): void }[]) {
      if (on) each.ref?.();
      else each.unref?.();
    }
  }
}

/** A word as a shell takes it, whatever is in it. */
function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

/** What came before the token that ends it, and what follows on the token's line; undefined when it is not all there. */
function ended(chunks: Buffer[], token: string): { text: string; tail: string } | undefined {
  if (chunks.at(-1)?.at(-1) !== 0x0a) return undefined;
  if (chunks.length > 1) chunks.splice(0, chunks.length, Buffer.concat(chunks));
  const [bytes] = chunks as [Buffer];
  const at = bytes.lastIndexOf(token);
  if (at < 0) return undefined;
  return { text: bytes.toString("utf8", 0, at), tail: bytes.toString("utf8", at + token.length).trim() };
}
