import { z } from "zod";
import { syncStates } from "./words.ts";

/** One thing people can know about an object. `unknown` is an honest answer. */
export const Condition = z.object({
  type: z.enum(["synced", "admitted", "connected"]),
  status: z.enum(["true", "false", "unknown"]),
  reason: z.string(),
  message: z.string(),
  since: z.iso.datetime().nullable(),
});
export type Condition = z.infer<typeof Condition>;

/** The word and icon of a chip; always shown with its reason. */
export const SyncState = z.enum(syncStates);
export type SyncState = z.infer<typeof SyncState>;

/** One node's part in an object: what the controller wants of it and what it last reported. */
export interface NodePart {
  nodeId: string;
  nodeName: string;
  isConnected: boolean;
  wantedHash: string;
  reported: {
    hash: string;
    state: "applied" | "failed" | "conflict" | "waiting" | "unsupported";
    reason: string | null;
    message: string | null;
  } | null;
}

export interface SyncSummary {
  state: SyncState;
  reason: string;
  message: string;
}

/** The sync state of an object from its parts. Pure; the worst part wins, and a silent node makes it unknown rather than fine. */
export function summarise(parts: readonly NodePart[], enabled = true): SyncSummary {
  if (!enabled) return { state: "disabled", reason: "service.disabled", message: "The service is switched off." };
  if (parts.length === 0) return { state: "waiting", reason: "node.none", message: "No enrolled node takes part yet." };
  const current = (part: NodePart) => part.reported !== null && part.reported.hash === part.wantedHash;
  const bad = parts.find(
    (part) => current(part) && (part.reported?.state === "failed" || part.reported?.state === "unsupported"),
  );
  if (bad) return describe("failed", bad);
  const conflict = parts.find((part) => current(part) && part.reported?.state === "conflict");
  if (conflict) return describe("conflict", conflict);
  const waiting = parts.find((part) => current(part) && part.reported?.state === "waiting");
  if (waiting) return describe("waiting", waiting);
  const silent = parts.find((part) => !part.isConnected);
  if (silent) return { state: "unknown", reason: "node.disconnected", message: `${silent.nodeName} is not connected.` };
  const behind = parts.find((part) => !current(part));
  if (behind) return applying(behind.nodeName);
  return { state: "inSync", reason: "node.applied", message: "Every node holds what it should." };
}

/** What a node is while it has not done all that it was told. */
export function applying(nodeName: string): SyncSummary {
  return { state: "applying", reason: "node.applying", message: `${nodeName} is applying the change.` };
}

function describe(state: SyncState, part: NodePart): SyncSummary {
  return {
    state,
    reason: part.reported?.reason ?? `fragment.${state}`,
    message: `${part.nodeName}: ${part.reported?.message ?? state}`,
  };
}
