import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import net, { type AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import type { Duplex } from "node:stream";
import { pathToFileURL } from "node:url";
import { pickCpu } from "./cpu.ts";
import { DialError, dial, withSocketPath } from "./dial.ts";
import type { EngineName } from "./engines/engine.ts";
import { pickEngine } from "./engines/pick.ts";
import { collect } from "./exec.ts";
import type { GuestConfiguration } from "./guest-configuration.ts";
import { LabHost } from "./lab-host.ts";
import { kernelModules } from "./modules.ts";
import { checkoutFolder, labsFolder, packageFolder, stateFolder, topologyFile } from "./paths.ts";
import { readStarter, waitUntilGone, writeStarter } from "./starter.ts";
import type { SupervisorConfiguration } from "./supervisor-configuration.ts";
import { layOut, management, readTopology, Topology, type TopologyInput } from "./topology.ts";
import { until } from "./until.ts";

/** Where a forwarded connection goes on the machine: a unix socket, or a port of its loopback. */
export type ForwardTarget = { path: string } | { port: number };

export interface LabOptions {
  /** A file, a topology, or nothing for the demo topology. */
  topology?: string | TopologyInput;
  /** Names the state folder `.trigon/lab/<name>` of the checkout (default "default"). */
  name?: string;
  /** The state folder itself, instead of `name`. */
  state?: string;
  /** By default the machine's own kernel when it has IPVS, else user-mode Linux. */
  engine?: EngineName;
  /** Memory of a guest kernel, as "1G" (the default). */
  mem?: string;
  /** Port of the lab's gateway (host name `controller` in every lab host) to a target on the machine. */
  forwards?: Record<number, ForwardTarget>;
  /** Lab ports to offer on the machine's loopback; see `lab.published`. */
  publish?: { host: string; port: number; localPort?: number }[];
  /** Files and folders of the machine that no lab host may see; an installed Trigon is always hidden. */
  mask?: string[];
  /** CPU to pin a guest kernel to. */
  cpu?: number;
  /** For a guest kernel, such as `ip_vs.conn_tab_bits=20`. */
  kernelArguments?: string[];
  /** A guest kernel without IPVS, as a machine whose kernel was built so; engine `uml` only. */
  withoutIpvs?: boolean;
  /** One line for each step of the start. */
  onProgress?: (line: string) => void;
  /** How long the start may take (default 120 s). */
  startTimeoutMs?: number;
}

export interface Forward {
  /** Port at the gateway. */
  port: number;
  close(): Promise<void>;
}

const installedTrigon = ["/opt/trigon", "/etc/trigon", "/var/lib/trigon", "/run/trigon"];

/** A running lab: started here (`up`), or by another process (`attach`). */
export class Lab {
  readonly #configuration: GuestConfiguration;
  readonly #hosts: Map<string, LabHost>;
  readonly #closers = new Set<() => Promise<void>>();
  #child: ChildProcess | undefined;

  private constructor(
    /** Absolute path of the state folder. */
    readonly state: string,
    configuration: GuestConfiguration,
    child?: ChildProcess,
  ) {
    this.#configuration = configuration;
    this.#child = child;
    const channel = (number: number) => () => dial(state, configuration.guest, configuration.execPort + number);
    this.#hosts = new Map(
      configuration.hosts.map((host, index) => [
        host.name,
        new LabHost(host.name, host.management, host.links, channel(index + 1)),
      ]),
    );
    this.#hosts.set("@guest", new LabHost("@guest", configuration.guest, [], channel(0)));
  }

  /** Starts a lab and answers when every host is ready. It dies with this process, even a killed one. */
  static async up(options: LabOptions = {}): Promise<Lab> {
    const state = resolve(options.state ?? stateFolder(options.name ?? "default"));
    const topology =
      typeof options.topology === "object"
        ? Topology.parse(options.topology)
        : readTopology(options.topology ?? topologyFile("demo"));
    const engine = pickEngine(options.engine);
    for (const path of [state, packageFolder]) {
      if (/\s/.test(path)) throw new Error(`a guest kernel cannot be given a path with a space in it: ${path}`);
    }
    if (await isAnswering(state)) throw new Error(`a lab already runs in ${state}`);
    options.onProgress?.(`engine ${engine.name}`);
    const environment = engine.prepare(join(labsFolder, ".cache"));
    mkdirSync(state, { recursive: true, mode: 0o700 });
    for (const name of ["dial.sock", "control.sock", "console.log"]) rmSync(join(state, name), { force: true });
    const configuration: GuestConfiguration = {
      engine: engine.name,
      gateway: management.gateway,
      guest: management.guest,
      prefix: management.prefix,
      execPort: management.execPort,
      ...environment,
      modules: options.withoutIpvs ? kernelModules.filter((name) => !/ip_?vs/.test(name)) : kernelModules,
      binds: isHiddenFromHosts(checkoutFolder, engine.name) ? [checkoutFolder] : [],
      mask: [...installedTrigon, ...(options.mask ?? [])],
      systemctl: readFileSync(join(packageFolder, "guest/systemctl.py"), "utf8"),
      systemdRun: readFileSync(join(packageFolder, "guest/systemd-run.sh"), "utf8"),
      hosts: layOut(topology),
    };
    const { argv, env } = engine.command({
      labd: join(packageFolder, "guest/labd.py"),
      configuration: join(state, "guest.json"),
      memory: options.mem ?? "1G",
      cpu: options.cpu ?? pickCpu(),
      kernelArguments: options.kernelArguments ?? [],
    });
    const supervisor: SupervisorConfiguration = {
      outerNetwork: engine.outerNetwork(management.gateway, management.prefix),
      memoryFolder: engine.memoryFolder,
      argv,
      env,
    };
    writeFileSync(join(state, "guest.json"), JSON.stringify(configuration));
    writeFileSync(join(state, "supervisor.json"), JSON.stringify(supervisor));
    const child = startSupervisor(state);
    const lab = new Lab(state, configuration, child);
    try {
      await lab.#ready(options);
      for (const [port, target] of Object.entries(options.forwards ?? {})) await lab.forward(Number(port), target);
      for (const { host, port, localPort } of options.publish ?? []) await lab.publish(host, port, localPort);
      return lab;
    } catch (error) {
      await lab.down();
      throw error;
    }
  }

  /** Joins a lab that another process started; `down` then ends it for all. */
  static async attach(stateOrName: string): Promise<Lab> {
    const state = stateOrName.includes("/") ? resolve(stateOrName) : stateFolder(stateOrName);
    if (!(await isAnswering(state))) throw new Error(`no lab runs in ${state}`);
    return new Lab(state, JSON.parse(readFileSync(join(state, "guest.json"), "utf8")));
  }

  get engine(): EngineName {
    return this.#configuration.engine;
  }

  /** Address at which lab hosts reach the machine's forwards; they know it as `controller`. */
  get gateway(): string {
    return this.#configuration.gateway;
  }

  /** Every lab host, in the topology's order. */
  get hosts(): LabHost[] {
    return this.#configuration.hosts.map(({ name }) => this.host(name));
  }

  /** A lab host by its name; `@guest` is the root that holds all of them. */
  host(name: string): LabHost {
    const host = this.#hosts.get(name);
    if (!host) throw new Error(`no lab host is called ${name}`);
    return host;
  }

  /** A TCP connection to a lab host's port, by its management address. */
  dial(host: string, port: number): Promise<Duplex> {
    return dial(this.state, this.host(host).management, port);
  }

  /** Offers a target on the machine at `gateway:port` inside the lab; a port forwarded before is replaced. */
  async forward(port: number, target: ForwardTarget): Promise<Forward> {
    let path: string;
    let closeRelay = async () => {};
    if ("path" in target) path = resolve(target.path);
    else {
      // The lab's supervisor has no way to the machine's loopback; this process has.
      path = `forward-${port}-${process.pid}.sock`;
      rmSync(join(this.state, path), { force: true });
      closeRelay = await relay(this.state, path, target.port);
    }
    await this.#control({ forward: port, path });
    const close = async () => {
      this.#closers.delete(close);
      if (await isAnswering(this.state)) await this.#control({ unforward: port });
      await closeRelay();
    };
    this.#closers.add(close);
    return { port, close };
  }

  /** Offers a lab host's port on the machine's loopback; answers the port there. */
  async publish(host: string, port: number, localPort = 0): Promise<number> {
    const address = this.host(host).management;
    const server = net.createServer({ allowHalfOpen: true }, async (client) => {
      client.on("error", () => {});
      try {
        joinStreams(client, await dial(this.state, address, port));
      } catch {
        client.destroy();
      }
    });
    await listening(server, { port: localPort, host: "127.0.0.1" });
    this.#closers.add(async () => void server.close());
    return (server.address() as AddressInfo).port;
  }

  /**
   * A power cut and a new start of one host: its processes and namespaces are gone at once, its disk, name and MAC addresses stay;
   * addresses, routes, sysctls, /run and /tmp are the topology's again and the boot id is new. Enabled systemd units are started.
   * With `wipe` the disk is new too, as after a fresh installation.
   */
  async rebuildHost(name: string, { wipe = false }: { wipe?: boolean } = {}): Promise<void> {
    this.host(name);
    const { guest, execPort } = this.#configuration;
    const channel = await dial(this.state, guest, execPort);
    const { exit, stderr } = await collect(channel, { control: { rebuild: name, wipe } }, { timeoutMs: 60_000 });
    if (exit.code !== 0) throw new Error(`${name} did not come back: ${exit.error ?? stderr.toString()}`);
  }

  /** Ends the lab and waits until its processes are gone. */
  async down(): Promise<void> {
    const closers = [...this.#closers];
    this.#closers.clear();
    const starter = readStarter(this.state);
    if (starter) {
      const processes = starter.processes();
      starter.kill();
      await waitUntilGone(processes);
    }
    for (const close of closers) await close();
    for (const name of ["dial.sock", "control.sock", "starter.json"]) rmSync(join(this.state, name), { force: true });
  }

  /** Lets go of a lab without ending it: closes this process's own forwards and published ports. */
  async detach(): Promise<void> {
    for (const close of [...this.#closers]) await close();
    this.#closers.clear();
  }

  /** Resolves when the lab has ended, by `down` or by itself. Only for the process that started it. */
  async ended(): Promise<void> {
    const child = this.#child;
    if (child && child.exitCode === null && child.signalCode === null) await new Promise((done) => child.once("exit", done));
  }

  async #ready({ onProgress, startTimeoutMs = 120_000 }: LabOptions): Promise<void> {
    const log = join(this.state, "console.log");
    const child = this.#child!;
    let shown = 0;
    let failure: Error | undefined;
    child.once("error", (error) => {
      failure = error;
    });
    // Not by dialling: a SYN sent before the guest answers is sent again with back-off, which costs up to 10 s.
    await until(
      "the lab to say READY",
      () => {
        const text = existsSync(log) ? readFileSync(log, "latin1") : "";
        const lines = text.slice(0, text.lastIndexOf("\n") + 1).split("\n");
        for (; shown < lines.length - 1; shown += 1) if (lines[shown]!.startsWith("labd ")) onProgress?.(lines[shown]!.trimEnd());
        if (/^labd .* READY\r?$/m.test(text)) return true;
        const isOver = child.exitCode !== null || child.signalCode !== null || /^labd .* FAILED\r?$/m.test(text);
        if (isOver) failure ??= new Error(`the lab ended while it started:\n${text.slice(-2000)}`);
        return failure !== undefined;
      },
      { deadlineMs: startTimeoutMs },
    );
    if (failure) throw failure;
  }

  /** One request to the lab's supervisor. */
  #control(request: object): Promise<void> {
    return new Promise((done, fail) => {
      const { result: socket, release } = withSocketPath(this.state, "control.sock", (path) => net.connect({ path }));
      let answer = "";
      socket.on("error", fail);
      socket.on("data", (chunk) => {
        answer += chunk;
      });
      socket.on("close", () => {
        release();
        const { ok, error }: { ok?: boolean; error?: string } = answer ? JSON.parse(answer) : { error: "the lab went away" };
        if (ok) done();
        else fail(new Error(error));
      });
      socket.write(`${JSON.stringify(request)}\n`);
    });
  }
}

/** Whether a lab's supervisor answers in this state folder. */
export async function isAnswering(state: string): Promise<boolean> {
  try {
    (await dial(state, "127.0.0.1", 1)).destroy();
    return true;
  } catch (error) {
    return error instanceof DialError && error.missing === "target";
  }
}

/** Starts the supervisor as PID 1 of new namespaces that end with this process, however it ends. */
function startSupervisor(state: string): ChildProcess {
  const loader = pathToFileURL(createRequire(import.meta.url).resolve("tsx/esm")).href;
  const asRoot = process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"];
  const log = join(state, "supervisor.log");
  // setpriv: dies with its parent. unshare --kill-child: PID 1 dies with unshare, and the kernel then kills all in the pid namespace.
  const child = spawn(
    "setpriv",
    [
      ...[
        "--pdeathsig",
        "KILL",
        "unshare",
        ...asRoot,
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child=KILL",
        "--mount-proc",
      ],
      ...[process.execPath, "--import", loader, join(packageFolder, "src/supervisor.ts"), state],
    ],
    { stdio: ["ignore", "ignore", "pipe"], detached: true, env: { ...process.env, NODE_OPTIONS: "" } },
  );
  rmSync(log, { force: true });
  child.stderr!.on("data", (chunk: Buffer) => writeFileSync(log, chunk, { flag: "a" }));
  child.stderr!.on("error", () => {});
  if (child.pid) writeStarter(state, child.pid);
  return child;
}

/** Lab hosts have /tmp, /run and /root of their own; and natively an overlay of / shows nothing of other file systems. */
function isHiddenFromHosts(path: string, engine: EngineName): boolean {
  if (/^\/(tmp|run|root)\//.test(path)) return true;
  return engine === "native" && statSync(path).dev !== statSync("/").dev;
}

function listening(server: net.Server, options: net.ListenOptions): Promise<void> {
  return new Promise((done, fail) => {
    server.once("error", fail);
    server.listen(options, () => {
      server.off("error", fail);
      done();
    });
  });
}

function joinStreams(one: Duplex, other: Duplex): void {
  one.on("error", () => other.destroy());
  other.on("error", () => one.destroy());
  one.pipe(other);
  other.pipe(one);
}

/** A unix socket in the state folder whose connections go to a loopback port of the machine. */
async function relay(state: string, name: string, port: number): Promise<() => Promise<void>> {
  const server = net.createServer({ allowHalfOpen: true }, (client) =>
    joinStreams(client, net.connect({ port, host: "127.0.0.1", allowHalfOpen: true })),
  );
  const { result, release } = withSocketPath(state, name, (path) => listening(server, { path }));
  await result;
  return async () => {
    server.close();
    release();
  };
}
