import { z } from "zod";
import { NodeRole } from "./vocabulary.ts";

export const SearchKind = z.enum(["virtualService", "realServer", "node", "directorGroup", "change"]);
export type SearchKind = z.infer<typeof SearchKind>;

/** One thing that a search found. */
export const SearchHit = z.object({
  kind: SearchKind,
  /** Of the object; for a real server, of the service that it is in. */
  id: z.string(),
  name: z.string(),
  /** What was searched by, as the object has it: a VIP with its port, a RIP, a node's address. */
  address: z.string().nullable(),
  /** What it is to the address that was asked for; null for a search by name. */
  use: z.enum(["vip", "rip", "node"]).nullable(),
  /** Of a node. */
  role: NodeRole.nullable(),
});
export type SearchHit = z.infer<typeof SearchHit>;

export const SearchView = z.object({
  /** The best first, a bounded number of each kind. */
  data: z.array(SearchHit),
  /** The address or network that the query was read as; null: it was taken as words. */
  address: z.string().nullable(),
});
export type SearchView = z.infer<typeof SearchView>;
