import { execFile } from "node:child_process";
import { createSocket } from "node:dgram";
import { connect, type Socket } from "node:net";
import { type ActiveCheck, familyOf } from "@trigon/model";

/** A way to try: from an address and port of this machine to a VIP. */
export interface PathTarget {
  source: string;
  sourcePort: number;
  vip: string;
  port: number;
  timeoutMs: number;
}

/** How an attempt ended. `silent`: connected, and then no answer to what was asked; over UDP no answer where nothing was asked. */
export type PathAttempt =
  | { outcome: "ok"; latencyMs: number }
  | { outcome: "refused" | "timeout" | "silent" }
  | { outcome: "unable"; message: string };

type HttpCheck = Extract<ActiveCheck, { kind: "http" }>;

/** So much goes into one header that the request fills more than one packet of any size up to an Ethernet frame's. */
const paddingBytes = 2_900;

/** Connects, and lets go again by a reset, so that neither end keeps the connection's ports. */
export const tryConnection = (target: PathTarget): Promise<PathAttempt> => attempt(target);

/** Asks as an HTTP check does; any answer will do. `large`: by full-sized packets. */
export function tryRequest(target: PathTarget, check: HttpCheck, large: boolean): Promise<PathAttempt> {
  const { method, path, host, headers } = check;
  const all = [
    `${method} ${path} HTTP/1.1`,
    `Host: ${host ?? target.vip}`,
    "User-Agent: trigon-path",
    ...headers.map(({ name, value }) => `${name}: ${value}`),
    ...(large ? [`X-Trigon-Path: ${"p".repeat(paddingBytes)}`] : []),
    "Connection: close",
  ];
  return attempt(target, `${all.join("\r\n")}\r\n\r\n`);
}

const ownTrouble = new Set(["EADDRINUSE", "EADDRNOTAVAIL", "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EINVAL", "EACCES"]);

function attempt({ source, sourcePort, vip, port, timeoutMs }: PathTarget, request?: string): Promise<PathAttempt> {
  return new Promise((resolve) => {
    const startedAt = performance.now();
    let isConnected = false;
    let isOver = false;
    let socket: Socket | undefined;
    const settle = (result: PathAttempt) => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      // One that still connects would wait for that before it resets.
      if (isConnected) socket?.resetAndDestroy();
      else socket?.destroy();
      resolve(result);
    };
    const passed = () => settle({ outcome: "ok", latencyMs: Math.round((performance.now() - startedAt) * 10) / 10 });
    const timer = setTimeout(() => settle({ outcome: isConnected ? "silent" : "timeout" }), timeoutMs);
    try {
      socket = connect({ host: vip, port, localAddress: source, localPort: sourcePort, noDelay: true });
    } catch (error) {
      return settle({ outcome: "unable", message: (error as Error).message });
    }
    socket.once("connect", () => {
      isConnected = true;
      if (request === undefined) passed();
      else socket?.write(request);
    });
    socket.once("data", passed);
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (ownTrouble.has(error.code ?? "")) settle({ outcome: "unable", message: error.message });
      // A reset after the handshake came the whole way, whatever the service means by it.
      else if (isConnected) passed();
      else if (error.code === "ECONNREFUSED" || error.code === "ECONNRESET") settle({ outcome: "refused" });
      // The kernel's own word that nothing went out: counted, it tells more.
      else settle({ outcome: "timeout" });
    });
    socket.once("close", () => (isConnected ? passed() : settle({ outcome: "refused" })));
  });
}

/** When the datagram is sent once more, as parts of the time: one that is lost on the way is no broken way. */
const resends = [0.25, 0.5];

/**
 * Asks over UDP; any answer will do, and so will "port unreachable". Without a `payload` an empty datagram goes out: hardly a program answers
 * that, so its silence means nothing.
 */
export function tryDatagram(
  { source, sourcePort, vip, port, timeoutMs }: PathTarget,
  payload: Buffer | null,
): Promise<PathAttempt> {
  return new Promise((resolve) => {
    const startedAt = performance.now();
    const socket = createSocket(vip.includes(":") ? "udp6" : "udp4");
    const timers: NodeJS.Timeout[] = [];
    let isOver = false;
    const settle = (result: PathAttempt) => {
      if (isOver) return;
      isOver = true;
      for (const timer of timers) clearTimeout(timer);
      socket.close();
      resolve(result);
    };
    const later = (ms: number, act: () => void) => void timers.push(setTimeout(act, ms));
    const passed = () => settle({ outcome: "ok", latencyMs: Math.round((performance.now() - startedAt) * 10) / 10 });
    const failed = (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED") settle({ outcome: "refused" });
      // The kernel's own word that nothing went out: what is counted meanwhile tells more.
      else if (ownTrouble.has(error.code ?? "")) settle({ outcome: "unable", message: error.message });
    };
    const send = () => !isOver && socket.send(payload ?? Buffer.alloc(0), (error) => error && failed(error));
    socket.on("error", failed);
    socket.on("message", passed);
    later(timeoutMs, () => settle({ outcome: payload ? "timeout" : "silent" }));
    // Connected, the kernel hands on "port unreachable", and takes replies from the VIP only.
    socket.bind({ address: source, port: sourcePort, exclusive: true }, () =>
      socket.connect(port, vip, ((error?: Error) => {
        if (error) return failed(error);
        send();
        for (const part of resends) later(part * timeoutMs, send);
      }) as () => void),
    );
  });
}

/** IP and ICMP headers. */
const echoHeaders = { 4: 28, 6: 48 } as const;

/**
 * Whether packets as large as `mtu` reach a real server unfragmented, by the system's `ping`: what a service speaks need not be known for it. Null:
 * it cannot be told, since no echo comes back at all, or since the network says itself that they are too large.
 */
export async function trySize(source: string, rip: string, mtu: number): Promise<boolean | null> {
  const large = await echo(source, rip, mtu - echoHeaders[familyOf(rip)]);
  if (large === "answered") return true;
  if (large !== "silent") return null;
  return (await echo(source, rip, 56)) === "answered" ? false : null;
}

function echo(source: string, address: string, bytes: number): Promise<"answered" | "silent" | "told"> {
  const args = ["-n", "-c", "2", "-i", "0.3", "-W", "1", "-M", "do", "-s", String(bytes), "-I", source, address];
  return new Promise((resolve) => {
    execFile("ping", args, { timeout: 5_000 }, (error, stdout, stderr) => {
      if (!error) return resolve("answered");
      // 1 is ping's word for no answer; anything else, and a router's or our own "too large", is no silence.
      const isSilent = error.code === 1 && !/needed|too long|too big/i.test(stdout + stderr);
      resolve(isSilent ? "silent" : "told");
    });
  });
}
