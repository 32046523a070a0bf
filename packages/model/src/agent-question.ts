import { z } from "zod";
import { IpAddress, Network } from "./address.ts";
import { Protocol } from "./vocabulary.ts";

/** No more entries of a service than this are looked at: its table is a sample then, and says so. */
export const connectionsSampled = 50_000;

export const ConnectionSortField = z.enum(["client", "realServer", "state", "expires"]);
export type ConnectionSortField = z.infer<typeof ConnectionSortField>;

/** Which entries of a service's connection table, and in which order. */
export const ConnectionFilter = z.object({
  client: Network.optional(),
  /** Its address; with `realServerPort` that one only. */
  realServer: IpAddress.optional(),
  realServerPort: z.int().min(0).max(65535).optional(),
  /** As the kernel spells it: ESTABLISHED, FIN_WAIT, UDP … */
  state: z.string().max(32).optional(),
  /** Only templates (who is pinned where), or only connections. Left out: both. */
  templates: z.boolean().optional(),
  sort: z.object({ field: ConnectionSortField, descending: z.boolean() }),
  limit: z.int().min(1).max(1000),
});
export type ConnectionFilter = z.infer<typeof ConnectionFilter>;

/** What a controller asks a node, apart from its plan. */
export const AgentQuestion = z.discriminatedUnion("what", [
  z.object({
    what: z.literal("connections"),
    service: z.object({ protocol: Protocol, vip: IpAddress, port: z.int().min(0).max(65535) }),
    filter: ConnectionFilter,
  }),
  /** Begin the upgrade of this id; asked again, say how it stands: nothing else that is asked changes anything there. */
  z.object({ what: z.literal("upgrade"), id: z.string().max(64) }),
]);
export type AgentQuestion = z.infer<typeof AgentQuestion>;

/** An entry of a director's connection table (`ipvsadm -Lnc`). */
export const ConnectionEntry = z.object({
  client: z.string(),
  /** Null: a template of persistence, which pins every port of the client. */
  clientPort: z.int().nullable(),
  realServer: z.object({ rip: z.string(), port: z.int() }),
  state: z.string(),
  /** The kernel forgets it then, if no packet comes. */
  expiresInSeconds: z.number(),
});
export type ConnectionEntry = z.infer<typeof ConnectionEntry>;

export const ConnectionTable = z.object({
  entries: z.array(ConnectionEntry),
  /** How many the filter lets through, and how many the service has; of a sample, as far as it was read. */
  matched: z.int(),
  total: z.int(),
  /** There are more than were looked at. */
  isSample: z.boolean(),
  /** Of all that were looked at, whatever the filter. */
  realServers: z.array(z.object({ rip: z.string(), port: z.int(), connections: z.int(), templates: z.int() })),
  states: z.array(z.object({ state: z.string(), count: z.int() })),
});
export type ConnectionTable = z.infer<typeof ConnectionTable>;

/** How an upgrade that a controller asked for stands. Kept on the node's disk: whichever agent answers, the former one or the new, says the same. */
export const AgentUpgrade = z.object({
  id: z.string(),
  state: z.enum(["running", "done", "failed"]),
  startedAt: z.iso.datetime(),
  /** Of the installer; null: it runs, or nobody saw its end. */
  exitCode: z.int().nullable(),
  /** The last lines that it printed. */
  output: z.string().max(4_000),
});
export type AgentUpgrade = z.infer<typeof AgentUpgrade>;

/** A service's connection table, and the director that said so. */
export const ConnectionTableView = ConnectionTable.extend({ nodeId: z.string(), nodeName: z.string(), at: z.iso.datetime() });
export type ConnectionTableView = z.infer<typeof ConnectionTableView>;

/** `POST /agent/v1/answer`: to the question of that id. `problem`: why it could not be answered. */
export const AgentAnswer = z.object({
  protocol: z.int(),
  id: z.string().max(64),
  answer: z.unknown().optional(),
  problem: z.string().max(1_000).optional(),
});
export type AgentAnswer = z.infer<typeof AgentAnswer>;
