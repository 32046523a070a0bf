import { closeSync, openSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import type { Duplex } from "node:stream";

/** sun_path of <sys/un.h>, less the closing zero. */
const pathLengthMax = 107;

/** Calls `use` with a path of this socket that fits in sockaddr_un, however deep the folder lies. */
export function withSocketPath<T>(folder: string, name: string, use: (path: string) => T): { result: T; release: () => void } {
  const path = join(folder, name);
  if (Buffer.byteLength(path) <= pathLengthMax) return { result: use(path), release: () => {} };
  const descriptor = openSync(folder, "r");
  return { result: use(`/proc/self/fd/${descriptor}/${name}`), release: () => closeSync(descriptor) };
}

/** The lab answered, but nothing listens at that address (or no lab runs at all). */
export class DialError extends Error {
  override name = "DialError";
  constructor(
    message: string,
    /** `lab` when no lab answers in the state folder; `target` when the lab could not reach the address. */
    readonly missing: "lab" | "target",
  ) {
    super(message);
  }
}

/** Opens a TCP connection to an address inside a running lab, through the lab's `dial.sock`. */
export function dial(state: string, address: string, port: number): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const { result: socket, release } = withSocketPath(state, "dial.sock", (path) => net.connect({ path, allowHalfOpen: true }));
    let head = Buffer.alloc(0);
    const fail = (error: Error) => {
      release();
      socket.destroy();
      reject(error);
    };
    const onError = (error: NodeJS.ErrnoException) =>
      fail(new DialError(`no lab runs in ${state} (${error.code ?? error.message})`, "lab"));
    const onClose = () => fail(new DialError(`the lab in ${state} closed the connection`, "lab"));
    const onData = (chunk: Buffer) => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf("\r\n\r\n");
      if (end < 0) return;
      socket.off("data", onData).off("error", onError).off("close", onClose);
      const line = head.subarray(0, end).toString("latin1");
      if (!line.startsWith("HTTP/1.1 200 ")) return fail(new DialError(`${address}:${port}: ${line.slice(13)}`, "target"));
      socket.pause();
      release();
      if (head.length > end + 4) socket.unshift(head.subarray(end + 4));
      resolve(socket);
    };
    socket.on("error", onError).on("close", onClose).on("data", onData);
    socket.write(`CONNECT ${address}:${port} HTTP/1.1\r\n\r\n`);
  });
}
