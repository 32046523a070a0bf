import { readFileSync } from "node:fs";
import { canSlowStart, type DirectorServiceFragment, type ServiceHealth, slowStartWeight } from "@trigon/model";
import { servingDestinations } from "@trigon/planner";
import { type Log, reasonOf } from "../log.ts";
import { sinceBoot } from "../state/boot-clock.ts";
import { writeAtomically } from "../state/files.ts";

/** What the loop needs of slow starts: a fragment with the weights of now. */
export interface LoopSlowStarts {
  /** Answers a service with a lower weight for each real server that came back a short while ago. */
  put(fragment: DirectorServiceFragment, health: ServiceHealth | undefined): DirectorServiceFragment;
  remove(fragmentId: string): void;
}

interface Ramps {
  serving: Set<string>;
  /** When each real server that is still below its weight came back, by its id. */
  began: Map<string, number>;
  timer: NodeJS.Timeout | undefined;
}

/** When the real servers of each service that are below their weight came back: service, real server, milliseconds of `sinceBoot`. */
interface Saved {
  bootId: string;
  services: Record<string, Record<string, number>>;
}

export interface SlowStartsOptions {
  onStep: (fragmentIds: readonly string[]) => void;
  /** Milliseconds of a clock that is never set back, whichever process asks; given in tests. */
  now?: () => number;
  /** Where it is kept who is below its weight; left out: nowhere. */
  disk?: { path: string; bootId: string; log: Log };
}

/** It is on the disk at most this long after it came to be. */
const saveMs = 200;

/**
 * Real servers that come back (from maintenance, or up after down, or new in a service that is there) take their weight in steps. The first
 * look at a service sets nobody back; after a restart of the agent, who was below its weight goes on from there.
 */
export class SlowStarts implements LoopSlowStarts {
  readonly #onStep: (fragmentIds: readonly string[]) => void;
  readonly #now: () => number;
  readonly #disk: SlowStartsOptions["disk"];
  readonly #services = new Map<string, Ramps>();
  /** Of the last run, until a service is looked at first. */
  readonly #saved: Map<string, Record<string, number>>;
  #saving: NodeJS.Timeout | undefined;

  constructor({ onStep, now = sinceBoot, disk }: SlowStartsOptions) {
    this.#onStep = onStep;
    this.#now = now;
    this.#disk = disk;
    this.#saved = new Map(Object.entries(disk ? readSaved(disk) : {}));
  }

  put(fragment: DirectorServiceFragment, health: ServiceHealth | undefined): DirectorServiceFragment {
    const { id, scheduler, slowStartSeconds = 0 } = fragment;
    if (slowStartSeconds === 0 || !canSlowStart(scheduler)) {
      this.remove(id);
      return fragment;
    }
    const before = this.#services.get(id);
    clearTimeout(before?.timer);
    const weights = servingDestinations(fragment, health).filter(({ weight }) => weight > 0);
    const serving = new Set(weights.map(({ realServerId }) => realServerId));
    const ramps: Ramps = { serving, began: new Map(), timer: undefined };
    this.#services.set(id, ramps);
    const now = this.#now();
    const saved = this.#saved.get(id);
    this.#saved.delete(id);
    const lowered = new Map<string, number>();
    let nextAt = Number.POSITIVE_INFINITY;
    for (const { realServerId, weight } of weights) {
      const hasServed = !before || before.serving.has(realServerId);
      const began = hasServed ? (before ? before.began.get(realServerId) : saved?.[realServerId]) : now;
      if (began === undefined) continue;
      const step = slowStartWeight(weight, now - began, slowStartSeconds);
      if (step.nextMs === null) continue;
      ramps.began.set(realServerId, began);
      lowered.set(realServerId, step.weight);
      nextAt = Math.min(nextAt, began + step.nextMs);
    }
    if (!sameTimes(ramps.began, before?.began)) this.#saveSoon();
    if (lowered.size === 0) return fragment;
    // A timer may fire a moment early: one millisecond more, so that its step is due.
    ramps.timer = setTimeout(() => this.#onStep([id]), nextAt - now + 1);
    ramps.timer.unref();
    const destinations = fragment.destinations.map((one) => {
      const weight = lowered.get(one.realServerId);
      return weight === undefined ? one : { ...one, weight };
    });
    return { ...fragment, destinations };
  }

  remove(fragmentId: string): void {
    const before = this.#services.get(fragmentId);
    this.#saved.delete(fragmentId);
    if (!before) return;
    clearTimeout(before.timer);
    this.#services.delete(fragmentId);
    if (before.began.size > 0) this.#saveSoon();
  }

  close(): void {
    if (this.#saving) this.#save();
    for (const { timer } of this.#services.values()) clearTimeout(timer);
    this.#services.clear();
  }

  #saveSoon(): void {
    if (this.#disk) this.#saving ??= setTimeout(() => this.#save(), saveMs);
  }

  #save(): void {
    clearTimeout(this.#saving);
    this.#saving = undefined;
    const { path, bootId, log } = this.#disk!;
    const services: Saved["services"] = Object.fromEntries(this.#saved);
    for (const [id, { began }] of this.#services) if (began.size > 0) services[id] = Object.fromEntries(began);
    try {
      writeAtomically(path, JSON.stringify({ bootId, services } satisfies Saved));
    } catch (error) {
      log.error("Slow starts could not be written", { reason: reasonOf(error) });
    }
  }
}

function sameTimes(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number> | undefined): boolean {
  return a.size === (b?.size ?? 0) && [...a].every(([id, began]) => b?.get(id) === began);
}

/** A reboot empties the table, and nobody goes on from anywhere; nor does anybody when the file is lost. */
function readSaved({ path, bootId, log }: NonNullable<SlowStartsOptions["disk"]>): Saved["services"] {
  try {
    const saved = JSON.parse(readFileSync(path, "utf8")) as Saved;
    return saved.bootId === bootId ? saved.services : {};
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT")
      log.warn("The last slow starts cannot be read: everyone has its weight", { reason: reasonOf(error) });
    return {};
  }
}
