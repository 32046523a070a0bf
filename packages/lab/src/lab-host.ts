import type { Duplex } from "node:stream";
import { collect, type ExecOptions, type ExecResult, LabProcess, type SpawnOptions } from "./exec.ts";
import type { LaidLink } from "./topology.ts";

/** A command that a lab host was asked to run with success, and that failed. */
export class LabCommandError extends Error {
  override name = "LabCommandError";
  constructor(
    host: string,
    command: string,
    readonly result: ExecResult,
  ) {
    super(`${host}: ${command}\nexit code ${result.code}\n${result.stderr}${result.stdout}`.trim());
  }
}

let freshCount = 0;

/** A place to run commands in: a lab host, the guest's root, or a network namespace in one of them. */
export class LabHost {
  constructor(
    readonly name: string,
    /** Address on the management segment. */
    readonly management: string,
    readonly links: readonly LaidLink[],
    /** Opens the exec channel. */
    private readonly connect: () => Promise<Duplex>,
    private readonly prefix: readonly string[] = [],
  ) {}

  /** The fixed MAC address of a link. */
  mac(ifname: string): string {
    const link = this.links.find((candidate) => candidate.ifname === ifname);
    if (!link) throw new Error(`${this.name} has no link ${ifname}`);
    return link.mac;
  }

  /** Runs a program (no shell) to its end. Rejects only when the host is gone or the time is up; a failing program has a code. */
  async exec(command: readonly string[], { cwd, env, ...options }: ExecOptions = {}): Promise<ExecResult> {
    const request = { cmd: [...this.prefix, ...command], cwd, env, stdin: options.input !== undefined };
    const { exit, stdout, stderr } = await collect(await this.connect(), request, options);
    return { code: exit.code, signal: exit.signal, stdout: stdout.toString(), stderr: stderr.toString() };
  }

  /** Runs a shell script and answers its stdout, trimmed. Throws LabCommandError unless it ends with 0 or failure is allowed. */
  async sh(script: string, { allowFailure = false, ...options }: ExecOptions & { allowFailure?: boolean } = {}): Promise<string> {
    const result = await this.exec(["/bin/sh", "-c", script], options);
    if (result.code !== 0 && !allowFailure) throw new LabCommandError(this.name, script, result);
    return result.stdout.trim();
  }

  /** Runs a program that prints JSON (`ip -j …`) and answers it parsed; nothing printed is an empty list. */
  async json<T = unknown>(command: readonly string[]): Promise<T> {
    const result = await this.exec(command);
    if (result.code !== 0) throw new LabCommandError(this.name, command.join(" "), result);
    return JSON.parse(result.stdout.trim() || "[]") as T;
  }

  /** Starts a long-lived program, tied to this connection: it is killed when the caller's process ends. */
  async spawn(command: readonly string[], { cwd, env, stdin, onStdout, onStderr }: SpawnOptions = {}): Promise<LabProcess> {
    const request = { cmd: [...this.prefix, ...command], cwd, env, stdin: stdin ?? false };
    return new LabProcess(await this.connect(), request, { onStdout, onStderr });
  }

  /** Starts a program that lives on by itself, its output appended to `log` in the host; answers its pid there. */
  async detach(
    command: readonly string[],
    { log, cwd, env }: { log?: string; cwd?: string; env?: Record<string, string> } = {},
  ): Promise<number> {
    const { exit } = await collect(await this.connect(), { cmd: [...this.prefix, ...command], cwd, env, detach: true, log });
    if (exit.code !== 0)
      throw new LabCommandError(this.name, command.join(" "), { code: exit.code, stdout: "", stderr: exit.error ?? "" });
    return exit.pid!;
  }

  /** Writes a file whole (through a draft beside it), making its folder; costs no process in the host. */
  async writeFile(path: string, content: string | Buffer, { mode = 0o644 }: { mode?: number } = {}): Promise<void> {
    const { exit } = await collect(await this.connect(), { write: path, mode }, { input: content });
    if (exit.code !== 0) throw new Error(`${this.name}: cannot write ${path}: ${exit.error}`);
  }

  /** Reads a file; costs no process in the host. */
  async readFile(path: string): Promise<Buffer> {
    const { exit, stdout } = await collect(await this.connect(), { read: path });
    if (exit.code !== 0) throw new Error(`${this.name}: cannot read ${path}: ${exit.error}`);
    return stdout;
  }

  /** A new, empty network namespace (loopback up) inside this host, with this host's files. For benches: nothing of earlier runs is in it. */
  async freshNamespace(): Promise<LabHost & { remove(): Promise<void> }> {
    freshCount += 1;
    const name = `fresh-${process.pid}-${freshCount}`;
    await this.sh(`ip netns add ${name} && ip -n ${name} link set lo up`);
    const inside = new LabHost(`${this.name}/${name}`, this.management, [], this.connect, [
      ...this.prefix,
      "nsenter",
      `--net=/run/netns/${name}`,
      "--",
    ]);
    return Object.assign(inside, { remove: async () => void (await this.sh(`ip netns del ${name}`)) });
  }
}
