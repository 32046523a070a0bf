/**
 * PID 1 of a lab's own net, mount and pid namespaces on the machine: `supervisor.ts STATE_FOLDER`.
 *
 * Starts the guest kernel (or labd itself) and forwards:
 *   dial.sock (unix, HTTP CONNECT)  to any TCP address inside the lab
 *   gateway:PORT (TCP in the lab)   to a unix socket of the machine
 * All of it dies with this process: the pid namespace takes the guest, the network namespace the tap device and its routes.
 */
import { execFileSync, spawn } from "node:child_process";
import { openSync, readFileSync, rmSync } from "node:fs";
import net from "node:net";
import { createInterface } from "node:readline";
import type { SupervisorConfiguration } from "./supervisor-configuration.ts";

// Relative socket paths from here on: sockaddr_un is short and the folder may be deep.
process.chdir(process.argv[2]!);
const configuration: SupervisorConfiguration = JSON.parse(readFileSync("supervisor.json", "utf8"));

if (configuration.memoryFolder) {
  execFileSync("mount", ["-t", "tmpfs", "-o", "mode=1777,size=100%", "tmpfs", configuration.memoryFolder]);
}
execFileSync("ip", ["-batch", "-"], { input: ["link set lo up", ...configuration.outerNetwork, ""].join("\n") });

function join(one: net.Socket, other: net.Socket): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.setNoDelay(true);
    from.on("error", () => to.destroy());
    from.on("close", () => from.readableEnded || to.destroy());
    from.pipe(to);
  }
}

function serveDial(client: net.Socket): void {
  let head = Buffer.alloc(0);
  client.on("error", () => {});
  const onReadable = () => {
    for (let chunk = client.read(); chunk !== null; chunk = client.read()) head = Buffer.concat([head, chunk]);
    const end = head.indexOf("\r\n\r\n");
    if (end < 0) return;
    client.off("readable", onReadable);
    const target = /^CONNECT ([\d.]+):(\d+) /.exec(head.subarray(0, end).toString("latin1"));
    if (!target) return client.end("HTTP/1.1 400 Bad Request\r\n\r\n");
    const remote = net.connect({ host: target[1]!, port: Number(target[2]), allowHalfOpen: true });
    const refused = (error: NodeJS.ErrnoException) => client.end(`HTTP/1.1 502 ${error.code}\r\n\r\n`);
    remote.once("error", refused);
    remote.once("connect", () => {
      remote.off("error", refused);
      client.write("HTTP/1.1 200 OK\r\n\r\n");
      if (head.length > end + 4) remote.write(head.subarray(end + 4));
      join(client, remote);
    });
  };
  client.on("readable", onReadable);
}

const forwards = new Map<number, net.Server>();

/** Replaces a forward of the same port. */
async function forward(port: number, path: string): Promise<void> {
  await unforward(port);
  const server = net.createServer({ allowHalfOpen: true }, (client) => join(client, net.connect({ path, allowHalfOpen: true })));
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, "0.0.0.0", resolve));
  forwards.set(port, server);
}

async function unforward(port: number): Promise<void> {
  const server = forwards.get(port);
  if (!server) return;
  forwards.delete(port);
  await new Promise<void>((resolve) => {
    server.close(() => {});
    resolve();
  });
}

function serveControl(client: net.Socket): void {
  client.on("error", () => {});
  createInterface({ input: client }).on("line", async (line) => {
    const request: { forward?: number; unforward?: number; path?: string } = JSON.parse(line);
    try {
      if (request.forward !== undefined) await forward(request.forward, request.path!);
      if (request.unforward !== undefined) await unforward(request.unforward);
      client.end('{"ok":true}\n');
    } catch (error) {
      client.end(`${JSON.stringify({ error: String(error) })}\n`);
    }
  });
}

for (const name of ["dial.sock", "control.sock"]) rmSync(name, { force: true });
net.createServer({ allowHalfOpen: true }, serveDial).listen("dial.sock");
net.createServer({ allowHalfOpen: true }, serveControl).listen("control.sock");

// A file and not a pipe: a console that nobody reads fast enough would stall the guest.
const log = openSync("console.log", "a");
const [program, ...argv] = configuration.argv;
const guest = spawn(program!, argv, { stdio: ["ignore", log, log], env: { ...process.env, ...configuration.env } });
guest.on("error", (error) => {
  console.error(String(error));
  process.exit(1);
});
guest.on("exit", (code, signal) => {
  console.error(`the lab's kernel ended (${signal ?? code})`);
  process.exit(code || 1);
});
