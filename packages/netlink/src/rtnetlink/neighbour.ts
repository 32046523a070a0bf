import { attr, attributes, bytes, inet } from "../codec.ts";
import type { Family } from "../inet.ts";
import type { Message } from "../message.ts";
import { encodeRoute, familyOrAll, knownFamily, needBytes, rtm } from "./header.ts";

/** NUD_* of <linux/neighbour.h>, a bit each. */
const states = {
  1: "incomplete",
  2: "reachable",
  4: "stale",
  8: "delay",
  16: "probe",
  32: "failed",
  64: "noarp",
  128: "permanent",
} as const;
export type NeighbourState = (typeof states)[keyof typeof states] | "none";

export interface Neighbour {
  family: Family;
  index: number;
  address: string;
  /** Absent while it is not known. */
  mac?: string;
  state: NeighbourState;
}

/** NDA_* of <linux/neighbour.h>. */
const neighbourAttributes = attributes({ address: attr(1, inet), mac: attr(2, bytes) });

/** struct ndmsg: family u8, pad u8, pad u16, index i32, state u16, flags u8, type u8. */
const NDMSG = 12;

export function encodeListNeighbours(family?: Family): Buffer {
  const struct = Buffer.alloc(NDMSG);
  struct[0] = familyOrAll(family);
  return encodeRoute(rtm.getNeighbour, 0, struct);
}

/** Undefined for families other than IPv4 and IPv6 (bridges keep their tables here too). */
export function decodeNeighbour({ payload }: Message): Neighbour | undefined {
  needBytes(payload, NDMSG, "a neighbour");
  const family = knownFamily(payload[0]!);
  if (!family) return undefined;
  const { address, mac } = neighbourAttributes.read(payload, NDMSG, payload.length);
  if (address === undefined) return undefined;
  return {
    family,
    index: payload.readInt32LE(4),
    address,
    ...(mac?.length === 6 && { mac: Array.from(mac, (byte) => byte.toString(16).padStart(2, "0")).join(":") }),
    state: (states as Record<number, NeighbourState>)[payload.readUInt16LE(8)] ?? "none",
  };
}
