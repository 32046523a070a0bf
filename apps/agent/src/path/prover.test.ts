import { createSocket } from "node:dgram";
import { createServer, type Server } from "node:net";
import type { PathPort } from "@trigon/kernel";
import { DirectorServiceFragment, Facts, type FragmentState, HealthSpec } from "@trigon/model";
import { pathKeys } from "@trigon/planner";
import { afterEach, expect, test } from "vitest";
import { PathProver } from "./prover.ts";

const facts = Facts.parse({
  hostname: "lb",
  machineId: "m",
  bootId: "b",
  kernel: "6",
  architecture: "x",
  interfaces: [
    {
      name: "eth0",
      mac: null,
      mtu: 1500,
      up: true,
      addresses: [
        { address: "127.0.0.1", prefix: 8 },
        { address: "::1", prefix: 128 },
      ],
    },
  ],
  routes: [],
  resolvers: [],
  iptables: "nft",
});
const times = {
  everyMs: 40,
  failingMs: 40,
  gapMs: 1,
  timeoutMs: 300,
  silentMs: 100,
  countMs: 60_000,
  lookMs: 10,
  sizeMs: 60_000,
};

/** A service whose VIP is this machine's loopback: packets need no IPVS to get to who listens there. */
function serviceOn(port: number, check: object = { kind: "http", path: "/" }) {
  return DirectorServiceFragment.parse({
    id: "ds:vs_1",
    hash: "h",
    generation: 1,
    kind: "director.service",
    serviceId: "vs_1",
    name: "web",
    vip: "127.0.0.1",
    protocol: "tcp",
    port,
    scheduler: "rr",
    schedulerFlags: [],
    persistence: null,
    onePacket: false,
    encapsulation: "ipip",
    snatSource: "vip",
    notrack: false,
    health: { ...HealthSpec.parse({ check }), sorryServer: null },
    provesPaths: true,
    destinations: [
      { realServerId: "rs_1", rip: "127.0.0.9", port, forwarding: "dr", weight: 1, upperThreshold: 0, lowerThreshold: 0 },
    ],
  });
}

/** A prober of that service, beside a kernel that only counts. */
function proving(service: DirectorServiceFragment) {
  const stop = new AbortController();
  const held: string[] = [];
  const log: string[] = [];
  let reads = 0;
  const port: PathPort = {
    clear: async () => void log.push("clear"),
    direct: async ({ address }) => {
      held.push(address);
      log.push(`direct ${address}`);
      return async () => void held.pop();
    },
    packets: async () => {
      log.push("count");
      return new Map([
        [pathKeys.sent(4), 10 + 3 * reads],
        [pathKeys.returned(4, "eth0", "tcp")[0]!, 7 + 2 * reads++],
      ]);
    },
    rpFilter: () => 2,
    close: async () => void log.push("close"),
  };
  const states = new Map<string, FragmentState>();
  const fragments = new Map([[service.id, service]]);
  states.set(service.id, { id: service.id, hash: "h", state: "applied", reason: null, message: null });
  const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined } as never;
  const prover = new PathProver({ plan: { fragments, states, facts }, port, log: quiet, signal: stop.signal, times });
  const done = prover.run();
  const end = async () => {
    stop.abort();
    await done;
  };
  ends.push(end);
  return { prover, held, log, fragments, end };
}

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

async function serve(answer: (request: string) => string | null): Promise<{ port: number; server: Server }> {
  const server = createServer((socket) => {
    let request = "";
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => {
      request += chunk;
      const reply = request.includes("\r\n\r\n") ? answer(request) : null;
      if (reply !== null) socket.end(reply);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ends.push(async () => server.close());
  return { port: (server.address() as { port: number }).port, server };
}

async function reported(prover: PathProver, outcome: string) {
  for (const deadline = Date.now() + 5_000; Date.now() < deadline; await new Promise((resolve) => setTimeout(resolve, 10))) {
    const [report] = prover.report();
    if (report?.outcome === outcome) return report;
  }
  throw new Error(`in vain for ${outcome}: ${JSON.stringify(prover.report())}`);
}

test("a path that answers full-sized requests is ok, through its one real server, which is let go after each probe", async () => {
  const { port } = await serve(() => "HTTP/1.1 200 OK\r\n\r\n");
  const { prover, held, log, fragments, end } = proving(serviceOn(port));
  expect(await reported(prover, "ok")).toMatchObject({ serviceId: "vs_1", realServerId: "rs_1", large: true });
  expect(log.slice(0, 2)).toEqual(["clear", "direct 127.0.0.9"]);
  fragments.clear();
  await expect.poll(() => prover.report()).toEqual([]);
  await end();
  expect(held).toEqual([]);
  expect(log.at(-1)).toBe("close");
});

test("a refusal is told with what was counted meanwhile, and since when", async () => {
  const { port, server } = await serve(() => "HTTP/1.1 200 OK\r\n\r\n");
  const { prover } = proving(serviceOn(port));
  await reported(prover, "ok");
  await new Promise((resolve) => server.close(resolve));
  const report = await reported(prover, "refused");
  expect(report).toMatchObject({ sent: 3, returned: 2, rpFilter: 2 });
  expect(report.sinceMs).toBeGreaterThanOrEqual(report.agoMs);
});

test("small requests that are answered where full-sized ones are not make it a matter of size", async () => {
  const { port } = await serve((request) => (request.length > 1_400 ? null : "HTTP/1.1 200 OK\r\n\r\n"));
  const { prover } = proving(serviceOn(port));
  expect(await reported(prover, "large")).toMatchObject({ large: false });
});

test("a VIP that this director does not hold is not probed: somebody else would answer", async () => {
  const { prover, log } = proving({ ...serviceOn(9), vip: "192.0.2.10" });
  expect((await reported(prover, "unable")).message).toContain("does not hold");
  expect(log).not.toContain("direct 127.0.0.9");
});

test("a real server of another family than its VIP is not probed: no packet could go that way", async () => {
  const { port } = await serve(() => "HTTP/1.1 200 OK\r\n\r\n");
  const service = serviceOn(port);
  const [destination] = service.destinations;
  const { prover, log } = proving({
    ...service,
    destinations: [{ ...destination!, realServerId: "rs_6", rip: "::1" }, destination!],
  });
  expect(await reported(prover, "ok")).toMatchObject({ realServerId: "rs_1" });
  expect(prover.report()).toHaveLength(1);
  expect(log).not.toContain("direct ::1");
});

async function serveUdp(
  answer: (text: string) => string | null,
): Promise<{ port: number; heard: string[]; close(): Promise<void> }> {
  const socket = createSocket("udp4");
  const heard: string[] = [];
  socket.on("message", (bytes, { address, port }) => {
    heard.push(bytes.toString());
    const reply = answer(bytes.toString());
    if (reply !== null) socket.send(reply, port, address);
  });
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  let isOpen = true;
  const close = async () => {
    if (isOpen) await new Promise<void>((resolve) => socket.close(resolve));
    isOpen = false;
  };
  ends.push(close);
  return { port: socket.address().port, heard, close };
}
const udp = (port: number, check: object) => ({ ...serviceOn(port, check), protocol: "udp" as const });

test("over UDP the check's own payload is the question, and any reply proves the path", async () => {
  const { port, heard, close } = await serveUdp((text) => (text === "\u0001ask" ? "whatever" : null));
  const { prover } = proving(udp(port, { kind: "udp", encoding: "hex", payload: "0161736b", reply: "00" }));
  expect(await reported(prover, "ok")).toMatchObject({ serviceId: "vs_1" });
  expect(heard[0]).toBe("\u0001ask");
  await close();
  await reported(prover, "refused");
});

test("over UDP a payload that nobody answers is a failure, and silence to an empty datagram is none", async () => {
  const { port, heard } = await serveUdp(() => null);
  const { prover, end } = proving(udp(port, { kind: "udp", payload: "ask" }));
  expect(await reported(prover, "timeout")).toMatchObject({ sent: 3 });
  expect(heard.length).toBeGreaterThan(1);
  await end(); // two provers of one machine would take each other's source ports
  const quiet = await serveUdp(() => null);
  const { prover: other, log } = proving(udp(quiet.port, { kind: "icmp" }));
  expect(await reported(other, "silent")).toMatchObject({ sent: 3 });
  await expect.poll(() => other.report()[0]?.previousAgoMs, { timeout: 5_000 }).toEqual(expect.any(Number));
  expect(quiet.heard.every((text) => text === "")).toBe(true);
  // What left is not counted each time: that reads all rules.
  expect(log.filter((line) => line === "count")).toHaveLength(2);
  expect(other.report()[0]).toMatchObject({ outcome: "silent", sent: 3 });
});
