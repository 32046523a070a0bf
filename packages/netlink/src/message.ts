import { CodecError } from "./codec.ts";
import type { Writer } from "./writer.ts";

/** struct nlmsghdr of <linux/netlink.h>: length u32, type u16, flags u16, sequence u32, port u32. */
export const NLMSG_HEADER = 16;

/** NLM_F_* of <linux/netlink.h>. */
export const NLM_F_REQUEST = 0x1;
export const NLM_F_MULTI = 0x2;
export const NLM_F_ACK = 0x4;
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;

/** Control types below NLMSG_MIN_TYPE. */
export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

/** One message as it came, its payload a view of the datagram. */
export interface Message {
  type: number;
  flags: number;
  sequence: number;
  payload: Buffer;
}

/** Appends a message's header; `endMessage` takes what this returns. Sequence and port are the transport's to fill in. */
export function beginMessage(writer: Writer, type: number, flags: number): number {
  const start = writer.reserve(NLMSG_HEADER);
  writer.setU16(start + 4, type);
  writer.setU16(start + 6, flags | NLM_F_REQUEST);
  writer.setU32(start + 8, 0);
  writer.setU32(start + 12, 0);
  return start;
}

/** Says how long the message that began at `start` has become. */
export function endMessage(writer: Writer, start: number): void {
  writer.setU32(start, writer.position - start);
  writer.align();
}

/** Appends a whole message; `body` writes what follows the header. */
export function writeMessage(writer: Writer, type: number, flags: number, body: (writer: Writer) => void): void {
  const start = beginMessage(writer, type, flags);
  body(writer);
  endMessage(writer, start);
}

/** Where each message of a run starts. Throws CodecError when a length points outside. */
export function messageOffsets(bytes: Buffer): number[] {
  const offsets: number[] = [];
  let at = 0;
  while (at < bytes.length) {
    offsets.push(at);
    at += alignedLength(bytes, at);
  }
  return offsets;
}

/** Splits a datagram into its messages. */
export function parseMessages(bytes: Buffer): Message[] {
  const messages: Message[] = [];
  let at = 0;
  while (at < bytes.length) {
    const step = alignedLength(bytes, at);
    messages.push({
      type: bytes.readUInt16LE(at + 4),
      flags: bytes.readUInt16LE(at + 6),
      sequence: bytes.readUInt32LE(at + 8),
      payload: bytes.subarray(at + NLMSG_HEADER, at + bytes.readUInt32LE(at)),
    });
    at += step;
  }
  return messages;
}

/** The positive errno in the payload of NLMSG_ERROR or NLMSG_DONE; 0 is an acknowledgement. */
export function errnoOf({ payload }: Message): number {
  if (payload.length < 4) throw new CodecError(`an error reply has ${payload.length} bytes`);
  return -payload.readInt32LE(0);
}

function alignedLength(bytes: Buffer, at: number): number {
  const left = bytes.length - at;
  if (left < NLMSG_HEADER) throw new CodecError(`${left} bytes are left where a message should start`);
  const length = bytes.readUInt32LE(at);
  if (length < NLMSG_HEADER || length > left) throw new CodecError(`a message says ${length} bytes, ${left} are left`);
  return (length + 3) & ~3;
}
