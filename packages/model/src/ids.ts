import { z } from "zod";

/** Ids are opaque, random and say what they name. */
export const idPrefixes = {
  virtualService: "vs",
  realServer: "rs",
  node: "node",
  directorGroup: "dg",
  groupMove: "move",
  nodeUpgrade: "upg",
  token: "tok",
  change: "chg",
  request: "req",
  apiToken: "pat",
  audit: "aud",
  fleet: "fleet",
  ask: "ask",
  notificationTarget: "ntf",
  notification: "msg",
} as const;
export type IdKind = keyof typeof idPrefixes;

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

/** `vs_…` from 12 or more random bytes; the caller brings the randomness. */
export function idFrom(kind: IdKind, random: Uint8Array): string {
  let text = "";
  for (const byte of random) text += alphabet[byte & 31];
  return `${idPrefixes[kind]}_${text}`;
}

export const Id = z
  .string()
  .min(3)
  .max(64)
  .regex(/^[a-z]+_[0-9a-z]+$/, "not an id");
