import { join } from "node:path";
import type { LabProcess } from "./exec.ts";
import type { Lab } from "./lab.ts";
import { LabCommandError, type LabHost } from "./lab-host.ts";
import { toolsFolder } from "./paths.ts";
import { until } from "./until.ts";

const tool = (name: string) => join(toolsFolder, name);
const textDecoder = () => new TextDecoder("utf8", { fatal: false });

/** What the lab's web server says of a connection. */
export interface HttpAnswer {
  /** The lab host that answered. */
  server: string;
  /** Client address as the server saw it. */
  src: string;
  /** The server's own end, address:port. */
  dst: string;
}

/** Starts the lab's web server in a host on `address:port` pairs and waits until it listens; one that already runs there is kept. */
export async function startHttpd(lab: Lab, hostName: string, ...listen: string[]): Promise<void> {
  const host = lab.host(hostName);
  const log = `/run/httpd-${listen.join(",")}.log`;
  const isListening = async () => {
    const table = await host.readFile("/proc/net/tcp");
    return listen.every((place) => listensIn(table.toString(), place));
  };
  if (await isListening()) return;
  await host.detach([tool("httpd.py"), hostName, ...listen], { log });
  await until(`httpd on ${hostName} ${listen.join(" ")}`, isListening);
}

/** Whether /proc/net/tcp shows a listening socket (state 0A) for an IPv4 address:port. */
export function listensIn(table: string, place: string): boolean {
  const [address = "", port = ""] = place.split(":");
  const hex = (number: number, width: number) => number.toString(16).toUpperCase().padStart(width, "0");
  const bytes = address.split(".").map(Number).reverse(); // printed as a little-endian word
  const local = `${bytes.map((byte) => hex(byte, 2)).join("")}:${hex(Number(port), 4)}`;
  return table.split("\n").some((line) => {
    const [, own, , state] = line.trim().split(/\s+/);
    return own === local && state === "0A";
  });
}

/**
 * GETs `http://target/` from a lab host with curl, `count` new connections one after the other (HTTP/1.0 keeps none); answers only those
 * that came.
 */
export async function fetchAnswers(from: LabHost, target: string, { count = 1, timeoutSeconds = 4 } = {}): Promise<HttpAnswer[]> {
  // One curl for all: a start takes longer in the guest than a request does.
  const urls = Array.from({ length: count }, () => `http://${target}/`);
  const { stdout } = await from.exec(["curl", "-s", "-0", "-m", String(timeoutSeconds), ...urls]);
  return stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as HttpAnswer);
}

export interface LoadOptions {
  /** `address:port` or `address:port/path` of lab web servers; new connections take them in turn. */
  targets: string[];
  /** Without it the load runs until `stop`. */
  seconds?: number;
  /** New connections a second, whatever the answers do. */
  rate?: number;
  /** Instead of `rate`: requests in flight all the time. */
  concurrency?: number;
  /** Connections held open all the time, in addition. */
  held?: number;
}

export interface LoadFailure {
  /** Wall-clock seconds, in the lab. */
  start: number;
  end: number;
  target: string;
  held: boolean;
  reason: string;
}

export interface LoadSummary {
  seconds: number;
  started: number;
  ok: number;
  failed: number;
  heldFailed: number;
  /** Connections not even tried because the client could not keep up with its rate. */
  clientLate: number;
  perSecond: number;
  p50Ms: number | null;
  p99Ms: number | null;
  maxMs: number | null;
  /**
   * The longest time in which no connection to one target was begun that was answered within 250 ms: `rate` over the number of targets bounds it
   * from below. Null: fewer than two were.
   */
  gapMs: number | null;
  /** Answers by lab host. */
  servers: Record<string, number>;
  failures: LoadFailure[];
}

/** A running load. */
export interface Load {
  /** Resolves with the summary when the load is over. */
  done: Promise<LoadSummary>;
  /** Failures so far. */
  failures: readonly LoadFailure[];
  /** Ends the load and answers its summary. */
  stop(): Promise<LoadSummary>;
}

/** Starts HTTP load in a lab host and answers once every held connection receives. */
export async function startLoad(
  from: LabHost,
  { targets, seconds = 0, rate = 0, concurrency = 0, held = 0 }: LoadOptions,
): Promise<Load> {
  const failures: LoadFailure[] = [];
  let summary: LoadSummary | undefined;
  let isSteady = false;
  let errors = "";
  const decoder = textDecoder();
  let rest = "";
  const process: LabProcess = await from.spawn(
    [tool("load.py"), String(seconds), String(rate), String(concurrency), String(held), ...targets],
    {
      stdin: true,
      onStdout: (chunk) => {
        rest += decoder.decode(chunk, { stream: true });
        const lines = rest.split("\n");
        rest = lines.pop()!;
        for (const line of lines) {
          const { event, ...fields } = JSON.parse(line);
          if (event === "steady") isSteady = true;
          else if (event === "failure") failures.push(fields);
          else if (event === "summary") summary = { ...fields, failures };
        }
      },
      onStderr: (chunk) => {
        errors += chunk;
      },
    },
  );
  const done = process.exited.then((exit) => {
    if (!summary) throw new LabCommandError(from.name, "load.py", { ...exit, stdout: "", stderr: errors });
    return summary;
  });
  done.catch(() => {});
  await until("the load's held connections to receive", () => isSteady || summary !== undefined || errors !== "", {
    deadlineMs: 20_000,
  });
  return {
    done,
    failures,
    stop: () => {
      process.end();
      return done;
    },
  };
}

/** Runs HTTP load for a time and answers its summary. */
export async function runLoad(from: LabHost, options: LoadOptions & { seconds: number }): Promise<LoadSummary> {
  return (await startLoad(from, options)).done;
}

/** Every MAC address that answers an ARP who-has for an address, asked from a lab host's link. */
export async function arpHolders(from: LabHost, ifname: string, address: string, { seconds = 0.6 } = {}): Promise<string[]> {
  const result = await from.exec([tool("arp-probe.py"), ifname, address, String(seconds)]);
  if (result.code !== 0) throw new LabCommandError(from.name, `arp-probe ${ifname} ${address}`, result);
  return result.stdout.split("\n").filter(Boolean);
}

/** Bytes a host's links have taken and sent since they were made, without the lab's own link. */
export async function linkBytes(host: LabHost): Promise<{ received: number; sent: number }> {
  const names = host.links.map(({ ifname }) => ifname).filter((name) => name !== "mgmt0");
  const read = async (name: string, kind: string) =>
    Number(await host.readFile(`/sys/class/net/${name}/statistics/${kind}_bytes`));
  const sum = async (kind: string) => (await Promise.all(names.map((name) => read(name, kind)))).reduce((a, b) => a + b, 0);
  return { received: await sum("rx"), sent: await sum("tx") };
}

export interface ByteShare {
  /** Bytes that passed the client's link, both ways. */
  clientBytes: number;
  /** Bytes that entered the director's links. */
  directorBytes: number;
  /** directorBytes / clientBytes: about 1 when replies pass the director too. */
  share: number;
  /** Answers by lab host. */
  servers: Record<string, number>;
}

export interface ByteShareOptions {
  client: LabHost;
  director: LabHost;
  /** `address:port`. */
  target: string;
  count: number;
  requestBytes: number;
  replyBytes: number;
}

/** The director's share of the bytes of a request/reply mix, by interface counters. Call `useRealFrames` first for honest figures. */
export async function byteShare({
  client,
  director,
  target,
  count,
  requestBytes,
  replyBytes,
}: ByteShareOptions): Promise<ByteShare> {
  const before = await Promise.all([linkBytes(client), linkBytes(director)]);
  const result = await client.exec([tool("requests.py"), target, String(count), String(requestBytes), String(replyBytes)]);
  if (result.code !== 0) throw new LabCommandError(client.name, `requests.py ${target}`, result);
  const after = await Promise.all([linkBytes(client), linkBytes(director)]);
  const clientBytes = after[0].received - before[0].received + after[0].sent - before[0].sent;
  const directorBytes = after[1].received - before[1].received;
  return { clientBytes, directorBytes, share: directorBytes / clientBytes, servers: JSON.parse(result.stdout).servers };
}

/** Turns segmentation offload off on every link: frames are then 1500 bytes, as on a wire, instead of up to 64 kB. */
export async function useRealFrames(lab: Lab): Promise<void> {
  const lines = (host: LabHost) => host.links.map(({ ifname }) => `link set ${ifname} gso_max_segs 1 gso_max_size 1500`);
  await Promise.all(lab.hosts.map((host) => host.exec(["ip", "-batch", "-"], { input: `${lines(host).join("\n")}\n` })));
}
