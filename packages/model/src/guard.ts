import { z } from "zod";

/**
 * What a change is kept for: `reachability`, that every node which it concerns comes back with it; `operator`, that somebody presses Keep.
 */
export const GuardKind = z.enum(["reachability", "operator"]);
export type GuardKind = z.infer<typeof GuardKind>;

/** The members that a guarded write carries beside its own. */
export const guardFields = {
  guard: GuardKind.optional(),
  guardSeconds: z.int().min(5).max(3600).optional(),
};

/** A guard as it is asked for. */
export interface Guard {
  kind: GuardKind;
  seconds: number;
}

/** What a plan says of a pending `reachability` guard: the node takes the plan back by itself when it cannot reach the controller for so long after it. */
export const PlanGuard = z.object({ seconds: z.int().min(1).max(3600) });
export type PlanGuard = z.infer<typeof PlanGuard>;

/** `failed`: it should have been taken back, and could not; `message` says why. */
export const GuardState = z.enum(["pending", "kept", "undone", "failed"]);
export type GuardState = z.infer<typeof GuardState>;

/** Why a guard is what it is: `returned` all nodes did, `pressed` Keep, `expired` unkept, `unreachable` nodes, `byHand` undone, `conflict` with a later edit. */
export const GuardReason = z.enum(["waiting", "returned", "pressed", "expired", "unreachable", "byHand", "conflict"]);
export type GuardReason = z.infer<typeof GuardReason>;

export const GuardView = z.object({
  kind: GuardKind,
  seconds: z.int(),
  deadline: z.iso.datetime(),
  state: GuardState,
  reason: GuardReason,
  message: z.string(),
  decidedBy: z.string().nullable(),
  decidedAt: z.iso.datetime().nullable(),
  /** The nodes that it waits for, and whether each has said that it holds what it should. */
  nodes: z.array(z.object({ nodeId: z.string(), nodeName: z.string(), isBack: z.boolean() })),
});
export type GuardView = z.infer<typeof GuardView>;
