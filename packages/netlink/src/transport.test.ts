import { EventEmitter } from "node:events";
import { describe, expect, test, vi } from "vitest";
import { CodecError } from "./codec.ts";
import { NetlinkError } from "./errors.ts";
import { NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_MULTI, NLMSG_DONE, NLMSG_ERROR, writeMessage } from "./message.ts";
import { NetlinkSocket, type RawSocket, type TransportOptions } from "./transport.ts";
import { Writer } from "./writer.ts";

const [EEXIST, EBUSY, ENOBUFS] = [17, 16, 105];

interface Sent {
  type: number;
  flags: number;
  sequence: number;
}

/** Stands in for the kernel's side: remembers what was sent and says what a test tells it to. */
class FakeSocket extends EventEmitter {
  sends: Sent[][] = [];
  closed = false;
  onSend: (messages: Sent[]) => void = () => undefined;

  send(bytes: Buffer, _options: undefined, _done: (error?: Error) => void): void {
    const messages: Sent[] = [];
    for (let at = 0; at < bytes.length; at += (bytes.readUInt32LE(at) + 3) & ~3)
      messages.push({
        type: bytes.readUInt16LE(at + 4),
        flags: bytes.readUInt16LE(at + 6),
        sequence: bytes.readUInt32LE(at + 8),
      });
    this.sends.push(messages);
    queueMicrotask(() => this.onSend(messages));
  }
  say(...replies: Buffer[]): void {
    this.emit("message", Buffer.concat(replies), { port: 0 });
  }
  close(): void {
    this.closed = true;
  }
  ref(): void {}
  unref(): void {}
}

function reply(type: number, sequence: number, payload: Buffer, flags = 0): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt32LE(16 + payload.length, 0);
  header.writeUInt16LE(type, 4);
  header.writeUInt16LE(flags, 6);
  header.writeUInt32LE(sequence, 8);
  return Buffer.concat([header, payload, Buffer.alloc(-payload.length & 3)]);
}
const number = (value: number) => {
  const payload = Buffer.alloc(4);
  payload.writeInt32LE(value);
  return payload;
};
const verdict = (sequence: number, errno = 0) => reply(NLMSG_ERROR, sequence, number(-errno));
const done = (sequence: number, errno = 0, flags = 0) => reply(NLMSG_DONE, sequence, number(-errno), NLM_F_MULTI | flags);
const part = (sequence: number, text: string, flags = 0) => reply(100, sequence, Buffer.from(text), NLM_F_MULTI | flags);

function message(count = 1): Buffer {
  const writer = new Writer();
  for (let i = 0; i < count; i++) writeMessage(writer, 42, 0, () => writer.u32(i));
  return writer.written();
}

function open(options?: TransportOptions) {
  const raw = new FakeSocket();
  return { raw, socket: new NetlinkSocket(raw as unknown as RawSocket, options) };
}

describe("request", () => {
  test("resolves with what came before the acknowledgement", async () => {
    const { raw, socket } = open();
    raw.onSend = ([sent]) => raw.say(reply(100, sent!.sequence, Buffer.from("answer")), verdict(sent!.sequence));
    const replies = await socket.request(message(), "ask");
    expect(replies.map(({ payload }) => payload.toString())).toEqual(["answer"]);
    expect(raw.sends[0]![0]!.flags & NLM_F_ACK).toBe(NLM_F_ACK);
  });

  test("rejects with the kernel's errno and what was tried", async () => {
    const { raw, socket } = open();
    raw.onSend = ([sent]) => raw.say(verdict(sent!.sequence, EEXIST));
    const error = await socket.request(message(), "newService tcp 192.0.2.1:80").catch((failure) => failure);
    expect(error).toBeInstanceOf(NetlinkError);
    expect(error).toMatchObject({ errno: EEXIST, code: "EEXIST", request: "newService tcp 192.0.2.1:80" });
    expect(error.message).toBe("newService tcp 192.0.2.1:80: EEXIST (file already exists)");
  });

  test("the next one is not sent before the last one is answered", async () => {
    const { raw, socket } = open();
    const first = socket.request(message(), "first");
    const second = socket.request(message(), "second");
    await vi.waitFor(() => expect(raw.sends.length).toBe(1));
    await Promise.resolve();
    expect(raw.sends.length).toBe(1);
    raw.say(verdict(raw.sends[0]![0]!.sequence, EEXIST));
    await expect(first).rejects.toThrow("EEXIST");
    await vi.waitFor(() => expect(raw.sends.length).toBe(2));
    raw.say(verdict(raw.sends[1]![0]!.sequence));
    await expect(second).resolves.toEqual([]);
  });

  test("silence ends in ETIMEDOUT, and a late answer does not disturb the next request", async () => {
    const { raw, socket } = open({ timeoutMs: 20 });
    await expect(socket.request(message(), "slow")).rejects.toMatchObject({ code: "ETIMEDOUT", request: "slow" });
    const late = raw.sends[0]![0]!.sequence;
    raw.onSend = ([sent]) => raw.say(verdict(late, EEXIST), verdict(sent!.sequence));
    await expect(socket.request(message(), "next")).resolves.toEqual([]);
  });

  test("messages from other processes are not answers", async () => {
    const { raw, socket } = open({ timeoutMs: 20 });
    raw.onSend = ([sent]) => raw.emit("message", verdict(sent!.sequence), { port: 4711 });
    await expect(socket.request(message(), "ask")).rejects.toMatchObject({ code: "ETIMEDOUT" });
  });

  test("bytes that make no sense reject with CodecError", async () => {
    const { raw, socket } = open();
    raw.onSend = () => raw.emit("message", Buffer.from("short"), { port: 0 });
    await expect(socket.request(message(), "ask")).rejects.toBeInstanceOf(CodecError);
  });

  test("close rejects what is under way and all that waits", async () => {
    const { raw, socket } = open();
    const pending = [socket.request(message(), "one"), socket.dump(message(), "two"), socket.batch(message(), () => "three")];
    const outcomes = Promise.allSettled(pending);
    await vi.waitFor(() => expect(raw.sends.length).toBe(1));
    socket.close();
    for (const outcome of await outcomes) expect(outcome).toMatchObject({ status: "rejected", reason: { code: "ECANCELED" } });
    await expect(socket.request(message(), "after")).rejects.toMatchObject({ code: "ECANCELED" });
    expect(raw.closed).toBe(true);
  });

  test("a socket that fails rejects the request with its errno", async () => {
    const { raw, socket } = open();
    raw.onSend = () => raw.emit("error", Object.assign(new Error("recvmsg"), { errno: ENOBUFS }));
    await expect(socket.request(message(), "ask")).rejects.toMatchObject({ code: "ENOBUFS" });
  });
});

describe("dump", () => {
  test("collects its parts over several datagrams until DONE", async () => {
    const { raw, socket } = open();
    raw.onSend = ([sent]) => {
      raw.say(part(sent!.sequence, "a"), part(sent!.sequence, "b"));
      raw.say(part(sent!.sequence, "c"));
      raw.say(done(sent!.sequence));
    };
    expect((await socket.dump(message(), "list")).map(({ payload }) => payload.toString())).toEqual(["a", "b", "c"]);
    expect(raw.sends[0]![0]!.flags & NLM_F_DUMP).toBe(NLM_F_DUMP);
  });

  test("an interrupted dump is read again, and only the whole one is returned", async () => {
    const { raw, socket } = open();
    raw.onSend = ([sent]) => {
      const interrupted = raw.sends.length < 3 ? NLM_F_DUMP_INTR : 0;
      raw.say(part(sent!.sequence, `try ${raw.sends.length}`), done(sent!.sequence, 0, interrupted));
    };
    expect((await socket.dump(message(), "list")).map(({ payload }) => payload.toString())).toEqual(["try 3"]);
  });

  test("a dump that stays interrupted ends in EINTR", async () => {
    const { raw, socket } = open({ dumpRetries: 2 });
    raw.onSend = ([sent]) => raw.say(part(sent!.sequence, "x", NLM_F_DUMP_INTR), done(sent!.sequence));
    await expect(socket.dump(message(), "list")).rejects.toMatchObject({ code: "EINTR", request: "list" });
    expect(raw.sends.length).toBe(3);
  });

  test("EBUSY, the tail of an older dump, is tried again", async () => {
    const { raw, socket } = open();
    raw.onSend = ([sent]) => raw.say(raw.sends.length === 1 ? verdict(sent!.sequence, EBUSY) : done(sent!.sequence));
    await expect(socket.dump(message(), "list")).resolves.toEqual([]);
  });

  test("an error in DONE rejects", async () => {
    const { raw, socket } = open();
    raw.onSend = ([sent]) => raw.say(part(sent!.sequence, "a"), done(sent!.sequence, EEXIST));
    await expect(socket.dump(message(), "list")).rejects.toMatchObject({ code: "EEXIST" });
  });
});

describe("batch", () => {
  test("asks for one acknowledgement a send, and gives each error to its message", async () => {
    const { raw, socket } = open({ batchMessages: 4 });
    raw.onSend = (sent) => {
      const refused = sent.filter((_, index) => index === 1 || index === 2);
      raw.say(...refused.map(({ sequence }) => verdict(sequence, EEXIST)), verdict(sent.at(-1)!.sequence));
    };
    const results = await socket.batch(message(10), (index) => `message ${index}`);
    expect(raw.sends.map((sent) => sent.length)).toEqual([4, 4, 2]);
    for (const sent of raw.sends)
      expect(sent.map(({ flags }) => (flags & NLM_F_ACK) !== 0)).toEqual(sent.map((_, i) => i === sent.length - 1));
    expect(results.map((result) => result?.request)).toEqual([
      undefined,
      "message 1",
      "message 2",
      undefined,
      undefined,
      "message 5",
      "message 6",
      undefined,
      undefined,
      "message 9",
    ]);
    expect(results[1]).toMatchObject({ code: "EEXIST" });
  });

  test("an error of the last message ends its send as an acknowledgement would", async () => {
    const { raw, socket } = open();
    raw.onSend = (sent) => raw.say(verdict(sent.at(-1)!.sequence, EEXIST));
    const results = await socket.batch(message(3), (index) => `message ${index}`);
    expect(results.map((result) => result?.code)).toEqual([undefined, undefined, "EEXIST"]);
  });

  test("lost answers become ENOBUFS for every message whose own error was not read", async () => {
    const { raw, socket } = open();
    raw.onSend = (sent) => {
      if (raw.sends.length > 1) return raw.say(verdict(sent[0]!.sequence));
      raw.say(verdict(sent[1]!.sequence, EEXIST));
      raw.emit("error", Object.assign(new Error("recvmsg"), { errno: ENOBUFS }));
    };
    const results = await socket.batch(message(3), (index) => `message ${index}`);
    expect(results.map((result) => result?.code)).toEqual(["ENOBUFS", "EEXIST", "ENOBUFS"]);
    expect(raw.sends.length).toBe(2); // the no-op after which nothing older can come
  });

  test("nothing to send is nothing sent", async () => {
    const { raw, socket } = open();
    expect(await socket.batch(Buffer.alloc(0), () => "")).toEqual([]);
    expect(raw.sends).toEqual([]);
  });

  test("a send never grows past what a socket's buffer takes", async () => {
    const { raw, socket } = open({ batchMessages: 1000 });
    const writer = new Writer();
    for (let i = 0; i < 50; i++) writeMessage(writer, 42, 0, () => writer.bytes(new Uint8Array(4000)));
    raw.onSend = (sent) => raw.say(verdict(sent.at(-1)!.sequence));
    await socket.batch(writer.written(), () => "");
    expect(raw.sends.map((sent) => sent.length)).toEqual([15, 15, 15, 5]); // 4016 bytes each, 60 KiB a send
  });
});
