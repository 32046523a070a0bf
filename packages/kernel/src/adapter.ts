import type { Resource, ResourceKind, ResourceOf } from "@trigon/model";
import type { Action, ActionResult } from "@trigon/reconciler";

/** An action whose resources are of these kinds. */
export type ActionOn<K extends ResourceKind> =
  | { op: "create"; to: ResourceOf<K> }
  | { op: "update"; from: ResourceOf<K>; to: ResourceOf<K> }
  | { op: "delete"; from: ResourceOf<K> };

/** The way to one part of the kernel. */
export interface Adapter<K extends ResourceKind> {
  readonly kinds: readonly K[];
  /** The state of these keys, all of the adapter's kinds; absent ones are left out. */
  observe(keys: readonly string[]): Promise<ResourceOf<K>[]>;
  /** Everything of these kinds, foreign or ours. */
  observeAll(): Promise<ResourceOf<K>[]>;
  /** Carries the actions out in order; one result for each, and never a rejection. */
  apply(actions: readonly ActionOn<K>[]): Promise<ActionResult[]>;
}

/** The resource that an action is about. */
export const subject = (action: Action): Resource => (action.op === "delete" ? action.from : action.to);
