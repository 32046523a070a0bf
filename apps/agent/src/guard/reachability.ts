import { readFileSync, rmSync } from "node:fs";
import { type PlanGuard, RawFragment } from "@trigon/model";
import { z } from "zod";
import { type Log, reasonOf } from "../log.ts";
import { sinceBoot } from "../state/boot-clock.ts";
import { writeAtomically } from "../state/files.ts";
import { PlanPosition, type PlanStep } from "../state/plan-cache.ts";

/** What the loop needs of the guard. */
export interface LoopGuard {
  /** On the disk when it returns, before anything of `step` is carried out. `fragments`: what the node holds now. */
  begin(guard: PlanGuard, from: PlanPosition, step: PlanStep, fragments: ReadonlyMap<string, RawFragment>): void;
  /** A plan came in that the controller guards no more. */
  end(): void;
  /** The generation that was put back, until a newer one is taken in; null: none was. */
  readonly takenBack: number | null;
}

/** A guarded plan on the disk: what it changed as it was before, and until when the controller is waited for. */
const Guarded = z.object({
  format: z.literal(1),
  state: z.enum(["pending", "takenBack"]),
  /** Where the node stood before the first plan that is guarded, and the newest one that is. */
  from: PlanPosition,
  generation: z.int(),
  fragments: z.array(RawFragment),
  /** Ids that were not there before. */
  absent: z.array(z.string()),
  seconds: z.int(),
  /** On the machine's clock since it booted, in milliseconds, of this boot. */
  bootId: z.string(),
  deadline: z.number(),
});
type Guarded = z.infer<typeof Guarded>;

export interface ReachabilityOptions {
  path: string;
  bootId: string;
  log: Log;
  /** Milliseconds since the machine booted, whichever process asks: a restarted agent goes on counting. Given in tests. */
  now?: () => number;
  /** Whether it is this node that is cut off: a controller that is merely down is no reason to put anything back. */
  isCutOff(): Promise<boolean>;
  /** Puts the plan before back. */
  takeBack(step: PlanStep, message: string): void;
}

/** How often it is looked again whether the node is cut off, once the seconds are over. */
const againMs = 2_000;

/**
 * A node that cuts itself off by a change puts the state before back by itself: a plan that comes with a guard stays only if the controller is
 * reached once it was carried out.
 */
export class ReachabilityGuard implements LoopGuard {
  readonly #options: ReachabilityOptions;
  readonly #now: () => number;
  #guarded: Guarded | null;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: ReachabilityOptions) {
    this.#options = options;
    this.#now = options.now ?? sinceBoot;
    this.#guarded = read(options.path, options.log);
  }

  /** What the last run left: a guard that is still counted, or a plan that is not quite put back. Called once the loop has the cached plan. */
  resume(position: PlanPosition | null): void {
    const guarded = this.#guarded;
    if (!guarded) return;
    const isOfThis = position?.fleetId === guarded.from.fleetId && position.epoch === guarded.from.epoch;
    if (!isOfThis || position.generation > guarded.generation) this.end();
    else if (guarded.state === "pending") this.#goOn(guarded);
    // The agent ended in the middle of it.
    else if (position.generation !== guarded.from.generation) this.#options.takeBack(stepBack(guarded), sentence(guarded));
  }

  get takenBack(): number | null {
    return this.#guarded?.state === "takenBack" ? this.#guarded.generation : null;
  }

  begin({ seconds }: PlanGuard, from: PlanPosition, step: PlanStep, fragments: ReadonlyMap<string, RawFragment>): void {
    const before = this.#guarded?.state === "pending" ? this.#guarded : undefined;
    const known = new Set([...(before?.absent ?? []), ...(before?.fragments ?? []).map(({ id }) => id)]);
    const touched = [...step.fragments.map(({ id }) => id), ...step.tombstones].filter((id) => !known.has(id));
    this.#keep({
      format: 1,
      state: "pending",
      from: before?.from ?? from,
      generation: step.generation,
      fragments: [...(before?.fragments ?? []), ...touched.flatMap((id) => fragments.get(id) ?? [])],
      absent: [...(before?.absent ?? []), ...touched.filter((id) => !fragments.has(id))],
      seconds,
      bootId: this.#options.bootId,
      deadline: this.#now() + seconds * 1000,
    });
    this.#arm();
  }

  /** The controller was reached after everything up to this generation was carried out. */
  reached(generation: number): void {
    if (this.#guarded?.state === "pending" && generation >= this.#guarded.generation) this.end();
  }

  end(): void {
    clearTimeout(this.#timer);
    if (!this.#guarded) return;
    this.#guarded = null;
    rmSync(this.#options.path, { force: true });
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  /** After a reboot nobody knows how long it took: the seconds begin anew. */
  #goOn(guarded: Guarded): void {
    const { bootId } = this.#options;
    if (guarded.bootId !== bootId) this.#keep({ ...guarded, bootId, deadline: this.#now() + guarded.seconds * 1000 });
    this.#arm();
  }

  #keep(guarded: Guarded): void {
    writeAtomically(this.#options.path, JSON.stringify(guarded));
    this.#guarded = guarded;
  }

  #arm(waitMs = (this.#guarded?.deadline ?? 0) - this.#now()): void {
    clearTimeout(this.#timer);
    if (!this.#isClosed) this.#timer = setTimeout(() => void this.#expire(), Math.max(0, waitMs));
  }

  async #expire(): Promise<void> {
    const guarded = this.#guarded;
    if (guarded?.state !== "pending" || this.#isClosed) return;
    // A timer may be early, and setTimeout counts another clock.
    if (this.#now() < guarded.deadline) return this.#arm();
    const isCutOff = await this.#options.isCutOff().catch((error: unknown) => {
      this.#options.log.warn("Whether this node is cut off could not be told", { reason: reasonOf(error) });
      return false;
    });
    // Meanwhile the controller may have been reached, or another plan may have come.
    if (this.#guarded !== guarded || this.#isClosed) return;
    if (!isCutOff) return this.#arm(againMs);
    this.#keep({ ...guarded, state: "takenBack" });
    this.#options.takeBack(stepBack(guarded), sentence(guarded));
  }
}

const stepBack = ({ from, fragments, absent }: Guarded): PlanStep => ({ ...from, fragments, tombstones: absent });

const sentence = ({ seconds, generation, from }: Guarded) =>
  `The controller was not reached within ${seconds} s after generation ${generation}: what stood at generation ${from.generation} was put back`;

/** A guard that cannot be read guards nothing: the plan that stands stays. */
function read(path: string, log: Log): Guarded | null {
  try {
    return Guarded.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT")
      log.warn("The guard of the last plan cannot be read: the plan stays", { reason: reasonOf(error) });
    return null;
  }
}
