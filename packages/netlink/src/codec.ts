import { formatInet, parseInet, parseInet4 } from "./inet.ts";
import { Writer } from "./writer.ts";

/** Bytes that are not what their table says, or a value that does not fit its attribute. Never anything else is thrown here. */
export class CodecError extends Error {
  override readonly name = "CodecError";
}

/** How one value is laid out. `read` gets the bounds of the payload and must not look outside of them. */
export interface Codec<T> {
  /** Marks the attribute NLA_F_NESTED when written. Readers ignore the mark. */
  readonly nested?: true;
  write(writer: Writer, value: T): void;
  read(bytes: Buffer, start: number, end: number): T;
}

/** One attribute of a table: its number in the kernel's header, and how its payload is laid out. */
export interface Attribute<T> {
  readonly type: number;
  readonly codec: Codec<T>;
}

/** A table of attributes is itself a codec, so that tables nest. */
export interface Attributes<T> extends Codec<T> {
  /** A new Buffer with the attributes of `value`, in the order of their numbers; absent fields are left out. */
  encode(value: T): Buffer;
  /** Attributes the table does not know are skipped: a newer kernel may send more. */
  decode(bytes: Buffer): T;
}

/** The plain object that a table describes: every field optional, since every netlink attribute is. */
export type Infer<C> = C extends Codec<infer T> ? T : never;
// biome-ignore lint/suspicious/noExplicitAny: as below
type Shape<T extends Record<string, Attribute<any>>> = { [K in keyof T]?: T[K] extends Attribute<infer V> ? V : never };

/** NLA_F_NESTED of <linux/netlink.h>; with NLA_F_NET_BYTEORDER it shares the field of the type. */
const NLA_F_NESTED = 0x8000;
const TYPE_MASK = 0x3fff;
const NLA_HEADER = 4;

export const attr = <T>(type: number, codec: Codec<T>): Attribute<T> => ({ type, codec });

/** A codec made from a table of attributes; its type is inferred from the table, so there is no second list to keep. */
// biome-ignore lint/suspicious/noExplicitAny: the table holds codecs of any value type; Shape gives each back
export function attributes<T extends Record<string, Attribute<any>>>(table: T): Attributes<Shape<T>> {
  type Value = Shape<T>;
  const names = Object.keys(table) as (keyof T & string)[];
  const entries = names
    .map((name) => {
      const { type, codec } = table[name] as Attribute<unknown>;
      return { name, type, written: codec.nested ? type | NLA_F_NESTED : type, codec };
    })
    .sort((one, other) => one.type - other.type);
  const byType = new Map(entries.map((entry) => [entry.type, entry]));
  const self: Attributes<Value> = {
    write(writer, value) {
      for (const { name, written, codec } of entries) {
        const field = value[name];
        if (field === undefined) continue;
        const start = writer.reserve(NLA_HEADER);
        codec.write(writer, field);
        const length = writer.position - start;
        if (length > 0xffff) throw new CodecError(`${name} takes ${length} bytes; an attribute holds 65535`);
        writer.setU16(start, length);
        writer.setU16(start + 2, written);
        writer.align();
      }
    },
    read(bytes, start, end) {
      const value: Record<string, unknown> = {};
      eachAttribute(bytes, start, end, (type, from, to) => {
        const entry = byType.get(type);
        if (entry) value[entry.name] = entry.codec.read(bytes, from, to);
      });
      return value as Value;
    },
    encode(value) {
      const writer = new Writer(256);
      self.write(writer, value);
      return writer.written();
    },
    decode: (bytes) => self.read(bytes, 0, bytes.length),
  };
  return self;
}

/** A table as the payload of an attribute that says so, as newer kernel families insist on; older ones take either. */
export const nested = <T>(table: Codec<T>): Codec<T> => ({ ...table, nested: true });

/** Walks a run of attributes, checking every length against the bounds. */
export function eachAttribute(
  bytes: Buffer,
  start: number,
  end: number,
  visit: (type: number, from: number, to: number) => void,
): void {
  if (end > bytes.length) throw new CodecError(`attributes end at ${end}, the message at ${bytes.length}`);
  let at = start;
  while (at < end) {
    if (end - at < NLA_HEADER) throw new CodecError(`${end - at} stray bytes after the last attribute`);
    const length = bytes[at]! | (bytes[at + 1]! << 8);
    const type = (bytes[at + 2]! | (bytes[at + 3]! << 8)) & TYPE_MASK;
    if (length < NLA_HEADER || at + length > end)
      throw new CodecError(`attribute ${type} says ${length} bytes, ${end - at} are left`);
    visit(type, at + NLA_HEADER, at + length);
    at += (length + 3) & ~3;
  }
}

const sized = (name: string, size: number, start: number, end: number): void => {
  if (end - start < size) throw new CodecError(`${name} needs ${size} bytes, got ${end - start}`);
};

const checkedInteger = (name: string, low: number, high: number, value: number): number => {
  if (!Number.isInteger(value) || value < low || value > high) throw new CodecError(`${value} is no ${name}`);
  return value;
};

export const u8: Codec<number> = {
  write: (writer, value) => writer.u8(checkedInteger("u8", 0, 0xff, value)),
  read(bytes, start, end) {
    sized("u8", 1, start, end);
    return bytes[start]!;
  },
};

export const u16: Codec<number> = {
  write: (writer, value) => writer.u16(checkedInteger("u16", 0, 0xffff, value)),
  read(bytes, start, end) {
    sized("u16", 2, start, end);
    return bytes[start]! | (bytes[start + 1]! << 8);
  },
};

export const u16be: Codec<number> = {
  write(writer, value) {
    checkedInteger("u16be", 0, 0xffff, value);
    writer.u16((value >>> 8) | ((value & 0xff) << 8));
  },
  read(bytes, start, end) {
    sized("u16be", 2, start, end);
    return (bytes[start]! << 8) | bytes[start + 1]!;
  },
};

export const u32: Codec<number> = {
  write: (writer, value) => writer.u32(checkedInteger("u32", 0, 0xffff_ffff, value)),
  read(bytes, start, end) {
    sized("u32", 4, start, end);
    return bytes.readUInt32LE(start);
  },
};

export const u32be: Codec<number> = {
  write(writer, value) {
    checkedInteger("u32be", 0, 0xffff_ffff, value);
    writer.bytes(Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value));
  },
  read(bytes, start, end) {
    sized("u32be", 4, start, end);
    return bytes.readUInt32BE(start);
  },
};

export const i32: Codec<number> = {
  write: (writer, value) => writer.u32(checkedInteger("i32", -0x8000_0000, 0x7fff_ffff, value)),
  read(bytes, start, end) {
    sized("i32", 4, start, end);
    return bytes.readInt32LE(start);
  },
};

/** Counters pass 2^53 (nine petabytes), so they are bigints. */
export const u64: Codec<bigint> = {
  write(writer, value) {
    if (value < 0n || value > 0xffff_ffff_ffff_ffffn) throw new CodecError(`${value} is no u64`);
    const at = writer.reserve(8);
    writer.buffer.writeBigUInt64LE(value, at);
  },
  read(bytes, start, end) {
    sized("u64", 8, start, end);
    return bytes.readBigUInt64LE(start);
  },
};

/** NUL-terminated text of at most `limit` bytes with its NUL (IFNAMSIZ and its kin); longer text is refused, never cut. */
export const cstring = (limit = 0xffff - NLA_HEADER): Codec<string> => ({
  write(writer, value) {
    const size = Buffer.byteLength(value, "utf8");
    if (size + 1 > limit) throw new CodecError(`"${value}" takes ${size} bytes, ${limit - 1} fit`);
    if (value.includes("\0")) throw new CodecError("text holds a NUL");
    const at = writer.reserve(size + 1);
    if (size === value.length) for (let i = 0; i < size; i++) writer.buffer[at + i] = value.charCodeAt(i);
    else writer.buffer.write(value, at, "utf8");
    writer.buffer[at + size] = 0;
  },
  read(bytes, start, end) {
    let stop = start;
    while (stop < end && bytes[stop] !== 0) stop++;
    return bytes.toString("utf8", start, stop);
  },
});

/** Raw bytes; read as a view of the message. */
export const bytes: Codec<Uint8Array> = {
  write: (writer, value) => writer.bytes(value),
  read: (buffer, start, end) => buffer.subarray(start, end),
};

/** An IPv4 or IPv6 address in network order; its length tells which. */
export const inet: Codec<string> = {
  write(writer, value) {
    const parsed = parseInet(value);
    if (!parsed) throw new CodecError(`"${value}" is no IP address`);
    writer.bytes(parsed);
  },
  read(buffer, start, end) {
    if (end - start !== 4 && end - start !== 16) throw new CodecError(`an address has 4 or 16 bytes, not ${end - start}`);
    return formatInet(buffer.subarray(start, end));
  },
};

/**
 * An address in the sixteen bytes of the kernel's union nf_inet_addr: after an IPv4 address come zeros. For requests; a reply
 * cannot be read without its family, since `2001:db8::` has the same zeros.
 */
export const paddedInet: Codec<string> = {
  write(writer, value) {
    if (value.includes(":")) return inet.write(writer, value);
    const at = writer.reserve(16);
    for (let i = at + 4; i < at + 16; i++) writer.buffer[i] = 0;
    if (!parseInet4(value, writer.buffer, at)) throw new CodecError(`"${value}" is no IP address`);
  },
  read() {
    throw new CodecError("a padded address is read with its family");
  },
};

/** An attribute that says all by being there (NLA_FLAG). */
export const flag: Codec<true> = { write: () => undefined, read: () => true };

/** `{flags, mask}`, as IPVS takes the bits of a service: only bits of the mask are changed. */
export const maskedFlags: Codec<{ flags: number; mask: number }> = {
  write(writer, { flags, mask }) {
    u32.write(writer, flags);
    u32.write(writer, mask);
  },
  read(buffer, start, end) {
    sized("flags and mask", 8, start, end);
    return { flags: buffer.readUInt32LE(start), mask: buffer.readUInt32LE(start + 4) };
  },
};
