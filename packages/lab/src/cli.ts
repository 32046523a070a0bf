import { existsSync, readdirSync } from "node:fs";
import { parseArgs } from "node:util";
import type { EngineName } from "./engines/engine.ts";
import { isAnswering, Lab } from "./lab.ts";
import { labsFolder, stateFolder } from "./paths.ts";
import { missingSystemPackages } from "./system-packages.ts";

const usage = `usage: npm run lab -- COMMAND
  up [--topology FILE] [--name NAME] [--engine native|uml] [--mem SIZE]   start a lab and stay until Ctrl-C
     [--forward PORT=SOCKET|PORT=LOOPBACKPORT]… [--publish HOST:PORT[=LOCALPORT]]…
  exec [--name NAME] HOST -- COMMAND…                                     run a command in a lab host
  rebuild [--name NAME] HOST                                              power cut and new start of a lab host
  status                                                                  list labs
  down [--name NAME]                                                      end a lab
`;

/** Options of the command line before `--`, and the command after it. */
function parse(argv: string[]) {
  const cut = argv.indexOf("--");
  const command = cut < 0 ? [] : argv.slice(cut + 1);
  const { values, positionals } = parseArgs({
    args: cut < 0 ? argv : argv.slice(0, cut),
    allowPositionals: true,
    options: {
      name: { type: "string", default: "default" },
      state: { type: "string" },
      topology: { type: "string" },
      engine: { type: "string" },
      mem: { type: "string" },
      forward: { type: "string", multiple: true, default: [] },
      publish: { type: "string", multiple: true, default: [] },
    },
  });
  return { values, positionals, command };
}

/** `npm run lab`; answers the exit code. */
export async function main(argv: string[]): Promise<number> {
  const { values, positionals, command } = parse(argv);
  const [verb, host] = positionals;
  const state = values.state ?? stateFolder(values.name);
  switch (verb) {
    case "up":
      return up(values, state);
    case "exec":
      if (!host || command.length === 0) break;
      return exec(state, host, command);
    case "rebuild":
      if (!host) break;
      await (await Lab.attach(state)).rebuildHost(host);
      return 0;
    case "status":
      return status();
    case "down":
      await (await Lab.attach(state)).down();
      return 0;
  }
  process.stderr.write(usage);
  return 2;
}

async function up(values: ReturnType<typeof parse>["values"], state: string): Promise<number> {
  const missing = missingSystemPackages();
  if (missing.length > 0) process.stderr.write(`missing, some tools will not work: apt-get install ${missing.join(" ")}\n`);
  const start = performance.now();
  const lab = await Lab.up({
    state,
    topology: values.topology,
    engine: values.engine as EngineName | undefined,
    mem: values.mem,
    onProgress: (line) => console.log(line),
  });
  for (const text of values.forward) {
    const [port, target = ""] = text.split(/=(.*)/s);
    await lab.forward(Number(port), /^\d+$/.test(target) ? { port: Number(target) } : { path: target });
  }
  for (const text of values.publish) {
    const [, name, port, local] = /^([\w-]+):(\d+)(?:=(\d+))?$/.exec(text) ?? [];
    if (!name) throw new Error(`--publish ${text}: wanted HOST:PORT or HOST:PORT=LOCALPORT`);
    console.log(`${name}:${port} is at 127.0.0.1:${await lab.publish(name, Number(port), Number(local ?? 0))}`);
  }
  for (const one of lab.hosts) {
    const links = one.links.slice(1).map(({ ifname, segment, addresses }) => `${ifname}@${segment} ${addresses.join(" ")}`);
    console.log(`  ${one.name.padEnd(8)} ${links.join(", ")}`);
  }
  console.log(`READY in ${Math.round(performance.now() - start)} ms; Ctrl-C ends the lab`);
  const stop = () => void lab.down();
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  await lab.ended();
  await lab.down();
  return 0;
}

async function exec(state: string, name: string, command: string[]): Promise<number> {
  const lab = await Lab.attach(state);
  const child = await lab.host(name).spawn(command, {
    stdin: !process.stdin.isTTY,
    onStdout: (chunk) => process.stdout.write(chunk),
    onStderr: (chunk) => process.stderr.write(chunk),
  });
  if (!process.stdin.isTTY) {
    process.stdin.on("data", (chunk) => child.write(chunk));
    process.stdin.on("end", () => child.end());
  }
  const { code } = await child.exited;
  process.stdin.destroy();
  return code;
}

async function status(): Promise<number> {
  const names = existsSync(labsFolder) ? readdirSync(labsFolder).filter((name) => !name.startsWith(".")) : [];
  for (const name of names) {
    if (!(await isAnswering(stateFolder(name)))) continue;
    const lab = await Lab.attach(name);
    console.log(`${name}: ${lab.engine}, ${lab.hosts.map((host) => host.name).join(" ")}`);
  }
  return 0;
}
