import { z } from "zod";
import { LintFinding, NodeView } from "./views.ts";

/** Connections that go through what a step takes away or quiesces, as the director last counted them. */
export const TouchedConnections = z.object({ active: z.number(), inactive: z.number() });
export type TouchedConnections = z.infer<typeof TouchedConnections>;

/** One step that a node's agent will take. */
export const PreviewStep = z.object({
  /** `create.ipvsDestination`: picks the console's own sentence, filled from `values`. */
  code: z.string(),
  sentence: z.string(),
  values: z.record(z.string(), z.union([z.string(), z.number()])),
  /** The same by hand, in the words of `ipvsadm`, `ip`, `sysctl`, `iptables`; none where a value found long ago is put back. */
  commands: z.array(z.string()),
  /** Null: the step touches none, or nobody counted. */
  connections: TouchedConnections.nullable(),
});
export type PreviewStep = z.infer<typeof PreviewStep>;

export const PreviewNode = z.object({
  nodeId: z.string(),
  nodeName: z.string(),
  role: NodeView.shape.role,
  isConnected: z.boolean(),
  /** When the node last said what its kernel holds; null: never, and its plan is taken for it. */
  observedAt: z.iso.datetime().nullable(),
  /** In the order in which they will be taken. */
  steps: z.array(PreviewStep),
  /** What a release leaves in the kernel, by hand in the words of `ipvsadm` and `ip`; left out by all other writes. */
  keeps: z.array(z.string()).optional(),
  /** What the node cannot do, or will not: something foreign is in the way. */
  problems: z.array(z.object({ code: z.string(), message: z.string() })),
});
export type PreviewNode = z.infer<typeof PreviewNode>;

/** What a write would do, with nothing written. Steps lead to the end: every admission gate has opened and every release is done. */
export const ChangePreview = z.object({
  dryRun: z.literal(true),
  /** False: what is asked is what is there. */
  changesAnything: z.boolean(),
  before: z.unknown().nullable(),
  after: z.unknown().nullable(),
  nodes: z.array(PreviewNode),
  /** Over all nodes; null: nobody counted. */
  connections: TouchedConnections.nullable(),
  lint: z.array(LintFinding),
});
export type ChangePreview = z.infer<typeof ChangePreview>;
