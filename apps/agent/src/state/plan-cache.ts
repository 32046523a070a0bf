import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { RawFragment } from "@trigon/model";
import { z } from "zod";
import { writeAtomically } from "./files.ts";
import { LineLog, readLines } from "./line-log.ts";

/** Where a plan stands. A plan applied by hand, before any enrollment, is of the fleet `local`. */
export const PlanPosition = z.object({
  fleetId: z.string(),
  epoch: z.int().min(0),
  generation: z.int().min(0),
  nodeId: z.string(),
});
export type PlanPosition = z.infer<typeof PlanPosition>;

/** One accepted step: fragments that are new or changed, and ids that are no more. */
export const PlanStep = PlanPosition.extend({
  fragments: z.array(RawFragment),
  tombstones: z.array(z.string()),
  released: z.array(z.string()).optional(),
});
export type PlanStep = z.infer<typeof PlanStep>;

const Snapshot = PlanPosition.extend({ format: z.literal(1), fragments: z.array(RawFragment) });

export class PlanCacheUnreadable extends Error {
  override name = "PlanCacheUnreadable";
}

const compactAbove = 256 * 1024;

/**
 * The last plan this node accepted: a snapshot (`plan.json`) and the steps accepted since (`plan.log`), so that one changed service costs one
 * line however many there are. `compact` folds the steps into the snapshot, off the hot path.
 */
export class PlanCache {
  readonly #directory: string;
  readonly #log: LineLog;
  readonly #fragments: Map<string, RawFragment>;
  #position: PlanPosition | null;

  private constructor(directory: string, log: LineLog, position: PlanPosition | null, fragments: Map<string, RawFragment>) {
    this.#directory = directory;
    this.#log = log;
    this.#position = position;
    this.#fragments = fragments;
  }

  /** Throws `PlanCacheUnreadable` when what is there cannot be trusted: the caller then leaves the kernel as it is. */
  static open(directory: string): PlanCache {
    const { position, fragments } = readPlanCache(directory);
    const { log } = LineLog.open(join(directory, "plan.log"));
    return new PlanCache(directory, log, position, fragments);
  }

  get position(): PlanPosition | null {
    return this.#position;
  }

  get fragments(): ReadonlyMap<string, RawFragment> {
    return this.#fragments;
  }

  /** On the disk when it returns. `json`: bytes that say this step, on one line, so that a large one is not spelled out again. */
  accept(step: PlanStep, json?: readonly Buffer[]): void {
    if (json === undefined) this.#log.append([step]);
    else this.#log.appendJson(json);
    this.#position = positionOf(step);
    applyStep(this.#fragments, step);
  }

  /** Puts an earlier step back: the only one that does not go forward. On the disk when it returns. */
  goBack(step: PlanStep): void {
    this.#position = positionOf(step);
    applyStep(this.#fragments, step);
    this.compact(true);
  }

  compact(force = false): void {
    if (!this.#position || (!force && this.#log.bytes < compactAbove)) return;
    const snapshot = { format: 1, ...this.#position, fragments: [...this.#fragments.values()] };
    writeAtomically(join(this.#directory, "plan.json"), JSON.stringify(snapshot));
    // A crash here leaves steps that the snapshot already holds: applying them again changes nothing.
    this.#log.replace([]);
  }

  close(): void {
    this.#log.close();
  }
}

/** The cached plan, read only. Throws `PlanCacheUnreadable`. */
export function readPlanCache(directory: string): { position: PlanPosition | null; fragments: Map<string, RawFragment> } {
  const fragments = new Map<string, RawFragment>();
  let position: PlanPosition | null = null;
  const snapshot = readSnapshot(join(directory, "plan.json"));
  if (snapshot) {
    position = positionOf(snapshot);
    for (const fragment of snapshot.fragments) fragments.set(fragment.id, fragment);
  }
  const { entries, damaged } = readSteps(join(directory, "plan.log"));
  if (damaged > 0) throw new PlanCacheUnreadable(`plan.log: ${damaged} damaged lines`);
  for (const entry of entries) {
    const step = PlanStep.safeParse(entry);
    if (!step.success) throw new PlanCacheUnreadable(`plan.log: ${step.error.message}`);
    if (position && isOlder(step.data, position)) continue;
    position = positionOf(step.data);
    applyStep(fragments, step.data);
  }
  return { position, fragments };
}

/** Whether `a` is from before `b` in the same fleet. */
export function isOlder(a: Pick<PlanPosition, "epoch" | "generation">, b: Pick<PlanPosition, "epoch" | "generation">): boolean {
  return a.epoch < b.epoch || (a.epoch === b.epoch && a.generation < b.generation);
}

function readSnapshot(path: string): z.infer<typeof Snapshot> | null {
  if (!existsSync(path)) return null;
  try {
    return Snapshot.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (cause) {
    throw new PlanCacheUnreadable(`plan.json: ${(cause as Error).message}`, { cause });
  }
}

function readSteps(path: string) {
  try {
    return readLines(path);
  } catch (cause) {
    throw new PlanCacheUnreadable(`plan.log: ${(cause as Error).message}`, { cause });
  }
}

const positionOf = ({ fleetId, epoch, generation, nodeId }: PlanPosition): PlanPosition => ({
  fleetId,
  epoch,
  generation,
  nodeId,
});

function applyStep(fragments: Map<string, RawFragment>, step: PlanStep): void {
  for (const id of step.tombstones) fragments.delete(id);
  for (const fragment of step.fragments) fragments.set(fragment.id, fragment);
}
