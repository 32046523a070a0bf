import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  attr,
  attributes,
  bytes,
  CodecError,
  cstring,
  flag,
  i32,
  inet,
  maskedFlags,
  nested,
  u8,
  u16,
  u16be,
  u32,
  u32be,
  u64,
} from "./codec.ts";
import { commandReply, destinationReply, serviceReply } from "./ipvs-wire.ts";
import { errnoOf, parseMessages } from "./message.ts";
import { decodeAddress } from "./rtnetlink/address.ts";
import { decodeLink } from "./rtnetlink/link.ts";
import { decodeNeighbour } from "./rtnetlink/neighbour.ts";
import { decodeRoute } from "./rtnetlink/route.ts";
import { decodeRule } from "./rtnetlink/rule.ts";
import { Writer } from "./writer.ts";

const inner = attributes({ port: attr(1, u16be), name: attr(2, cstring(16)) });
const table = attributes({
  byte: attr(1, u8),
  short: attr(2, u16),
  port: attr(3, u16be),
  word: attr(4, u32),
  mask: attr(5, u32be),
  signed: attr(6, i32),
  wide: attr(7, u64),
  name: attr(8, cstring(16)),
  raw: attr(9, bytes),
  address: attr(10, inet),
  there: attr(11, flag),
  flags: attr(12, maskedFlags),
  inner: attr(13, nested(inner)),
});

const unsigned = (bits: number) => fc.integer({ min: 0, max: 2 ** bits - 1 });
const name = fc.stringMatching(/^[a-z0-9.]{0,15}$/);
const address = fc.oneof(
  fc.ipV4(),
  fc.constantFrom("::", "::1", "2001:db8::1", "2001:db8:0:1::", "fe80::1:0:0:1", "::ffff:192.0.2.1"),
);
const value = fc.record(
  {
    byte: unsigned(8),
    short: unsigned(16),
    port: unsigned(16),
    word: unsigned(32),
    mask: unsigned(32),
    signed: fc.integer(),
    wide: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    name,
    raw: fc.uint8Array({ maxLength: 70 }).map((array) => Buffer.from(array)),
    address,
    there: fc.constant(true as const),
    flags: fc.record({ flags: unsigned(32), mask: unsigned(32) }),
    inner: fc.record({ port: unsigned(16), name }, { requiredKeys: [] }),
  },
  { requiredKeys: [] },
);

describe("attributes", () => {
  test("decoding what was encoded gives the same value", () => {
    fc.assert(
      fc.property(value, (given) => {
        expect(table.decode(table.encode(given))).toEqual({ ...given });
      }),
    );
  });

  test("every attribute starts at a multiple of four and its padding is zero, also in a buffer that held other bytes", () => {
    fc.assert(
      fc.property(value, (given) => {
        const writer = new Writer(4096);
        writer.buffer.fill(0xff);
        table.write(writer, given);
        const written = writer.written();
        let at = 0;
        while (at < written.length) {
          const length = written.readUInt16LE(at);
          const next = (at + length + 3) & ~3;
          expect(written.subarray(at + length, next).every((byte) => byte === 0)).toBe(true);
          at = next;
        }
        expect(at).toBe(written.length);
      }),
    );
  });

  test("lays values out as <linux/netlink.h> says", () => {
    expect(table.encode({ port: 80 }).toString("hex")).toBe("0600030000500000");
    expect(table.encode({ word: 80 }).toString("hex")).toBe("0800040050000000");
    expect(table.encode({ name: "wrr" }).toString("hex")).toBe("0800080077727200");
    expect(table.encode({ there: true }).toString("hex")).toBe("04000b00");
    expect(table.encode({ inner: { port: 80 } }).toString("hex")).toBe("0c000d800600010000500000");
  });

  test("skips attributes that the table does not know", () => {
    const unknown = Buffer.from("0800ff0001020304", "hex");
    expect(table.decode(Buffer.concat([unknown, table.encode({ byte: 7 })]))).toEqual({ byte: 7 });
  });

  test("a value that does not fit is refused, never cut", () => {
    for (const wrong of [
      { byte: 256 },
      { short: -1 },
      { port: 65536 },
      { word: 1.5 },
      { word: Number.NaN },
      { wide: -1n },
      { name: "a name of sixteen" },
      { address: "192.0.2.256" },
      { raw: new Uint8Array(70_000) },
    ])
      expect(() => table.encode(wrong)).toThrow(CodecError);
  });
});

const readers: Record<string, (bytes: Buffer) => unknown> = {
  attributes: (input) => table.decode(input),
  "an IPVS command": (input) => {
    const { service, destination } = commandReply.decode(input);
    return [service?.stats?.(), service?.stats64?.(), destination?.stats64?.()];
  },
  messages: (input) => parseMessages(input).map((message) => (message.type === 2 ? errnoOf(message) : 0)),
  "a link": (payload) => decodeLink({ type: 16, flags: 0, sequence: 0, payload }),
  "an address": (payload) => decodeAddress({ type: 20, flags: 0, sequence: 0, payload }),
  "a route": (payload) => decodeRoute({ type: 24, flags: 0, sequence: 0, payload }),
  "a rule": (payload) => decodeRule({ type: 32, flags: 0, sequence: 0, payload }),
  "a neighbour": (payload) => decodeNeighbour({ type: 28, flags: 0, sequence: 0, payload }),
};

/** Runs of attributes with small types, some with wrong lengths, so that decoders get deep into their tables. */
const plausible = fc
  .array(
    fc.record({
      type: fc.integer({ min: 0, max: 30 }),
      payload: fc.uint8Array({ maxLength: 24 }),
      lie: fc.constantFrom(0, 0, 0, 0, 1, -3, 40),
    }),
    { maxLength: 6 },
  )
  .chain((entries) =>
    fc.constantFrom(0, 8, 12, 16).map((headerSize) => {
      const writer = new Writer();
      const at = writer.reserve(headerSize);
      writer.buffer.fill(2, at, at + headerSize);
      for (const { type, payload, lie } of entries) {
        writer.u16(Math.max(0, payload.length + 4 + lie));
        writer.u16(type);
        writer.bytes(payload);
        writer.align();
      }
      return Buffer.from(writer.written());
    }),
  );

describe.each(Object.entries(readers))("reading %s", (_, read) => {
  const throwsOnlyCodecError = (input: Buffer) => {
    try {
      read(input);
    } catch (error) {
      expect(error).toBeInstanceOf(CodecError);
    }
  };

  test("throws nothing but CodecError, whatever the bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => throwsOnlyCodecError(Buffer.from(noise))));
    fc.assert(fc.property(plausible, throwsOnlyCodecError));
  });

  test("throws nothing but CodecError when the bytes are cut short", () => {
    const whole = commandReply.encode({
      service: { family: 2, address: Buffer.alloc(16), port: 80, stats64: () => ({ inBytes: 5n }) },
      destination: { address: Buffer.alloc(16), port: 80, weight: 1 },
    });
    for (let length = 0; length <= whole.length; length++) throwsOnlyCodecError(whole.subarray(0, length));
  });
});

test("a nested table that lies about its length is caught inside its parent's bounds", () => {
  const bytesOfService = serviceReply.encode({ family: 2 });
  bytesOfService.writeUInt16LE(40, 0);
  expect(() => serviceReply.decode(bytesOfService)).toThrow(CodecError);
  expect(() => destinationReply.decode(Buffer.from([1, 2, 3]))).toThrow(CodecError);
});
