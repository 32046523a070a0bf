import { constants } from "node:os";
import { RawNetlinkSocket } from "netlink";
import type { CodecError } from "./codec.ts";
import { isNetlinkError, NetlinkError } from "./errors.ts";
import {
  errnoOf,
  type Message,
  messageOffsets,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_NOOP,
  parseMessages,
  writeMessage,
} from "./message.ts";
import { Writer } from "./writer.ts";

/** NETLINK_ROUTE and NETLINK_GENERIC of <linux/netlink.h>. */
export const NETLINK_ROUTE = 0;
export const NETLINK_GENERIC = 16;

const { ETIMEDOUT, ECANCELED, EINTR, ENOBUFS, EMSGSIZE, EBUSY, EIO } = constants.errno;

/** What the transport needs of a socket: the part of npm netlink's RawNetlinkSocket that a test can stand in for. */
export interface RawSocket {
  send(bytes: Buffer, options: undefined, done: (error?: Error) => void): void;
  on(event: "message", listener: (bytes: Buffer, from: { port: number }) => void): unknown;
  on(event: "truncatedMessage", listener: () => void): unknown;
  on(event: "error", listener: (error: Error & { errno?: number }) => void): unknown;
  close(): void;
  ref(): void;
  unref(): void;
}

export interface TransportOptions {
  /** How long the kernel may be silent, in milliseconds (5000); noticed up to a quarter later. */
  timeoutMs?: number;
  /** How often a dump is read again when it was interrupted by a change (8). */
  dumpRetries?: number;
  /** At most this many messages go into one send of a batch; by default as many as have room for an error each. */
  batchMessages?: number;
}

/** One send and the answers to it. */
interface Exchange {
  first: number;
  last: number;
  /** Takes an answer; true ends the exchange. */
  take(message: Message): boolean;
  /** Ticks of the watchdog since the last answer. */
  silence: number;
  what: string;
  settle(error?: Error): void;
}

/** SO_RCVBUF asked for; the kernel grants up to net.core.rmem_max, doubled for its bookkeeping. */
const BUFFER_BYTES = 1 << 20;
/** A send larger than SO_SNDBUF is refused with EMSGSIZE; 64 KiB is under every default. */
const BATCH_BYTES = 60 * 1024;
/** Kernel memory that one queued error reply may take: it quotes the request, in a buffer of a power of two and its sk_buff. */
const REPLY_BYTES = 1280;

/** The watchdog looks this often in the time of a timeout. */
const TICKS = 4;

/** Opens a raw socket with large buffers. `messagePeeking` keeps replies exact: nothing is truncated and little is allocated. */
export function openRawSocket(protocol: number): RawNetlinkSocket {
  return new RawNetlinkSocket(protocol, { messagePeeking: true, recvBufferSize: BUFFER_BYTES, sendBufferSize: BUFFER_BYTES });
}

/**
 * A netlink socket that does one thing at a time: a request, a dump, or one send of a batch. (The kernel keeps one dump per
 * socket, and answers a second one with EBUSY.)
 *
 * Messages are handed over complete but for sequence and port (see `writeMessage`); the sequence is written into them.
 */
export class NetlinkSocket {
  readonly #raw: RawSocket;
  readonly #timeoutMs: number;
  readonly #dumpRetries: number;
  /** At most this many messages go into one send of a batch. */
  readonly batchMessages: number;
  #sequence = 0;
  #tail: Promise<unknown> = Promise.resolve();
  #exchange: Exchange | undefined;
  #closed = false;
  #watchdog: NodeJS.Timeout | undefined;

  /** Opens a socket of `protocol` (NETLINK_ROUTE, NETLINK_GENERIC) in the network namespace of this process. */
  static open(protocol: number, options: TransportOptions = {}): NetlinkSocket {
    const raw = openRawSocket(protocol);
    const room = Math.floor(raw.getRecvBufferSize() / REPLY_BYTES);
    return new NetlinkSocket(raw as unknown as RawSocket, { batchMessages: Math.max(1, Math.min(1000, room)), ...options });
  }

  constructor(raw: RawSocket, options: TransportOptions = {}) {
    this.#raw = raw;
    this.#timeoutMs = options.timeoutMs ?? 5000;
    this.#dumpRetries = options.dumpRetries ?? 8;
    this.batchMessages = options.batchMessages ?? 160;
    raw.on("message", (bytes, { port }) => {
      if (port === 0) this.#receive(bytes); // only the kernel has port 0; other processes may write to us too
    });
    raw.on("truncatedMessage", () => this.#exchange?.settle(new NetlinkError(EMSGSIZE, "receive", "a reply was truncated")));
    raw.on("error", (error) => this.#failed(error));
  }

  /** Sends one message and resolves with the answers that came before its acknowledgement. `what` names it in errors. */
  request(message: Buffer, what: string): Promise<Message[]> {
    return this.#serially(() => this.#request(message, what));
  }

  /**
   * Sends one message as a dump and resolves with its parts. A dump that a change interrupted is read again, so that the
   * result is one consistent picture where the kernel's family keeps that promise (rtnetlink does, IPVS does not).
   */
  dump(message: Buffer, what: string): Promise<Message[]> {
    return this.#serially(async () => {
      for (let attempt = 0; ; attempt++) {
        const { parts, again } = await this.#dump(message, what);
        if (again === undefined) return parts;
        if (attempt >= this.#dumpRetries) throw new NetlinkError(again, what, `interrupted ${attempt + 1} times`);
      }
    });
  }

  /**
   * Sends a run of messages, many to a send, and resolves with one entry for each: `undefined` where the kernel did it, or
   * its error. Only the last message of a send asks for an acknowledgement; an error is answered whether asked for or not,
   * and names its message by sequence. Later messages are carried out after an earlier one failed. Rejects only when the
   * socket itself failed; then which messages were carried out is unknown.
   */
  async batch(messages: Buffer, what: (index: number) => string): Promise<(NetlinkError | undefined)[]> {
    const offsets = messageOffsets(messages);
    const results = new Array<NetlinkError | undefined>(offsets.length).fill(undefined);
    let from = 0;
    while (from < offsets.length) {
      let to = from + 1;
      const endOf = (index: number) => offsets[index] ?? messages.length;
      while (to < offsets.length && to - from < this.batchMessages && endOf(to + 1) - offsets[from]! <= BATCH_BYTES) to++;
      const [start, end, base] = [offsets[from]!, endOf(to), from];
      const chunk = messages.subarray(start, end);
      const starts = offsets.slice(from, to).map((offset) => offset - start);
      await this.#serially(() =>
        this.#send(chunk, starts, (index, errno) => {
          results[base + index] = new NetlinkError(errno, what(base + index));
        }),
      );
      from = to;
    }
    return results;
  }

  /** Whether the socket keeps the process alive. */
  ref(on: boolean): void {
    if (on) this.#raw.ref();
    else this.#raw.unref();
  }

  /** Closes the socket; what waits is rejected with ECANCELED. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#watchdog);
    this.#raw.close();
    this.#exchange?.settle(closedError("close"));
  }

  #serially<T>(job: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(job);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  async #request(message: Buffer, what: string): Promise<Message[]> {
    const replies: Message[] = [];
    const sequence = this.#reserve(1);
    stamp(message, 0, sequence, NLM_F_ACK);
    await this.#run(message, what, sequence, (reply) => {
      if (reply.type !== NLMSG_ERROR) {
        if (reply.type !== NLMSG_DONE) replies.push(reply);
        return false;
      }
      const errno = errnoOf(reply);
      if (errno !== 0) throw new NetlinkError(errno, what);
      return true;
    });
    return replies;
  }

  /** `again` is the errno of the reason to read the dump once more. */
  async #dump(message: Buffer, what: string): Promise<{ parts: Message[]; again?: number }> {
    const parts: Message[] = [];
    let again: number | undefined;
    const sequence = this.#reserve(1);
    stamp(message, 0, sequence, NLM_F_DUMP);
    await this.#run(message, what, sequence, (part) => {
      if (part.flags & NLM_F_DUMP_INTR) again = EINTR;
      if (part.type !== NLMSG_ERROR && part.type !== NLMSG_DONE) {
        parts.push(part);
        return false;
      }
      const errno = part.payload.length === 0 ? 0 : errnoOf(part);
      if (errno === EBUSY)
        again = EBUSY; // the tail of a dump that timed out is still being read
      else if (errno !== 0) throw new NetlinkError(errno, what);
      return true;
    });
    return { parts, again };
  }

  /** One send of a batch; `fail` hears of each message that the kernel refused. */
  async #send(chunk: Buffer, starts: number[], fail: (index: number, errno: number) => void): Promise<void> {
    const first = this.#reserve(starts.length);
    const failed = new Set<number>();
    starts.forEach((start, index) => {
      stamp(chunk, start, first + index, index === starts.length - 1 ? NLM_F_ACK : 0);
    });
    const last = this.#sequence;
    const take = (reply: Message): boolean => {
      if (reply.type !== NLMSG_ERROR) return false;
      const errno = errnoOf(reply);
      if (errno !== 0) {
        failed.add(reply.sequence - first);
        fail(reply.sequence - first, errno);
      }
      return reply.sequence === last;
    };
    try {
      return await this.#run(chunk, `batch of ${starts.length}`, first, take);
    } catch (error) {
      if (!isNetlinkError(error, "ENOBUFS")) throw error;
    }
    await this.#drain(first, take);
    for (const index of starts.keys()) if (!failed.has(index)) fail(index, ENOBUFS);
  }

  /** Reads what is still queued after a loss: the acknowledgement of a no-op comes after every older answer. */
  async #drain(first: number, take: (reply: Message) => boolean): Promise<void> {
    const writer = new Writer(32);
    writeMessage(writer, NLMSG_NOOP, 0, () => undefined);
    const barrier = writer.written();
    for (let attempt = 0; ; attempt++) {
      const own = this.#reserve(1);
      stamp(barrier, 0, own, NLM_F_ACK);
      try {
        return await this.#run(barrier, "drain", first, (reply) => {
          if (reply.sequence !== own) take(reply);
          return reply.sequence === own;
        });
      } catch (error) {
        if (!isNetlinkError(error, "ENOBUFS") || attempt >= this.#dumpRetries) throw error;
      }
    }
  }

  #run(bytes: Buffer, what: string, first: number, take: (message: Message) => boolean): Promise<void> {
    if (this.#closed) return Promise.reject(closedError(what));
    return new Promise((resolve, reject) => {
      const settle = (error?: Error) => {
        if (this.#exchange !== exchange) return;
        this.#exchange = undefined;
        if (error) reject(error);
        else resolve();
      };
      const exchange: Exchange = { first, last: this.#sequence, take, silence: 0, what, settle };
      this.#exchange = exchange;
      this.#watchdog ??= setInterval(() => this.#tick(), this.#timeoutMs / TICKS).unref();
      try {
        this.#raw.send(bytes, undefined, (error) => error && settle(socketError(error, what)));
      } catch (error) {
        settle(socketError(error as Error, what));
      }
    });
  }

  /** One watchdog for all requests: setting a timer for each would read the clock each time, which a guest kernel makes slow. */
  #tick(): void {
    const exchange = this.#exchange;
    if (!exchange) {
      clearInterval(this.#watchdog);
      this.#watchdog = undefined;
    } else if (exchange.silence++ >= TICKS) {
      exchange.settle(new NetlinkError(ETIMEDOUT, exchange.what, `no answer in ${this.#timeoutMs} ms`));
    }
  }

  #receive(bytes: Buffer): void {
    const exchange = this.#exchange;
    if (!exchange) return;
    exchange.silence = 0;
    try {
      for (const message of parseMessages(bytes)) {
        if (message.sequence < exchange.first || message.sequence > exchange.last) continue; // an answer that came too late
        if (!exchange.take(message)) continue;
        exchange.settle();
        return;
      }
    } catch (error) {
      exchange.settle(error as NetlinkError | CodecError);
    }
  }

  #failed(error: Error & { errno?: number }): void {
    this.#exchange?.settle(socketError(error, "receive"));
  }

  /** Takes `count` sequence numbers in a row and returns the first; starts over before they leave the range of a signed int. */
  #reserve(count: number): number {
    if (this.#sequence + count > 0x7fff_ffff) this.#sequence = 0;
    const first = this.#sequence + 1;
    this.#sequence += count;
    return first;
  }
}

function stamp(bytes: Buffer, at: number, sequence: number, flags: number): void {
  bytes.writeUInt32LE(sequence, at + 8);
  if (flags !== 0) bytes.writeUInt16LE(bytes.readUInt16LE(at + 6) | flags, at + 6);
}

const closedError = (what: string): NetlinkError => new NetlinkError(ECANCELED, what, "the netlink socket is closed");

/** Errors of the socket's own system calls carry the errno of libuv's style, positive or negative. */
function socketError(error: Error & { errno?: number }, what: string): Error {
  return new NetlinkError(Math.abs(error.errno ?? EIO), what, error.message);
}
