import { CodecError } from "../codec.ts";
import { AF_INET, AF_INET6, type Family, parseInet } from "../inet.ts";
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, writeMessage } from "../message.ts";
import { Writer } from "../writer.ts";

/** RTM_* of <linux/rtnetlink.h>. */
export const rtm = {
  newLink: 16,
  delLink: 17,
  getLink: 18,
  setLink: 19,
  newAddress: 20,
  delAddress: 21,
  getAddress: 22,
  newRoute: 24,
  delRoute: 25,
  getRoute: 26,
  newNeighbour: 28,
  getNeighbour: 30,
  newRule: 32,
  delRule: 33,
  getRule: 34,
} as const;

export const CREATE = NLM_F_CREATE | NLM_F_EXCL;
export const CREATE_OR_REPLACE = NLM_F_CREATE | NLM_F_REPLACE;

/** One whole rtnetlink message: its fixed struct, then its attributes. */
export function encodeRoute(type: number, flags: number, struct: Uint8Array, writeAttributes?: (writer: Writer) => void): Buffer {
  const writer = new Writer(256);
  writeMessage(writer, type, flags, () => {
    writer.bytes(struct);
    writeAttributes?.(writer);
  });
  return writer.written();
}

/** Bounds check of a message's fixed struct. */
export function needBytes(payload: Buffer, size: number, name: string): void {
  if (payload.length < size) throw new CodecError(`${name} has ${size} bytes, the message ${payload.length}`);
}

/** AF_UNSPEC asks a dump for every family. */
export const familyOrAll = (family: Family | undefined): number =>
  family === undefined ? 0 : family === "inet" ? AF_INET : AF_INET6;

/** IPv4 or IPv6; messages of other families (MPLS, bridges) are not ours to decode. */
export function knownFamily(family: number): Family | undefined {
  return family === AF_INET ? "inet" : family === AF_INET6 ? "inet6" : undefined;
}

export interface Prefix {
  family: Family;
  address: string;
  length: number;
}

/** Splits `10.0.0.0/8`; a bare address is a host. Throws CodecError. */
export function parsePrefix(text: string): Prefix {
  const slash = text.indexOf("/");
  const address = slash < 0 ? text : text.slice(0, slash);
  const bytes = parseInet(address);
  if (!bytes) throw new CodecError(`"${text}" is no address or prefix`);
  const longest = bytes.length * 8;
  const length = slash < 0 ? longest : Number(text.slice(slash + 1));
  if (!Number.isInteger(length) || length < 0 || length > longest)
    throw new CodecError(`"${text}" has no prefix length up to ${longest}`);
  return { family: bytes.length === 4 ? "inet" : "inet6", address, length };
}

/** The text of a prefix; an absent address is the whole family. */
export const prefixText = (family: Family, address: string | undefined, length: number): string =>
  `${address ?? anyAddress(family)}/${length}`;

export const anyAddress = (family: Family): string => (family === "inet" ? "0.0.0.0" : "::");
