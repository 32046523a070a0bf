import { canSlowStart, type DirectorServiceFragment, type ServiceHealth, slowStartWeight } from "@trigon/model";
import { servingDestinations } from "@trigon/planner";

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

/**
 * Real servers that come back (from maintenance, or up after down, or new in a service that is there) take their weight in steps. The first
 * look at a service sets nobody back: after a restart of the agent everyone has the weight that is planned.
 */
export class SlowStarts implements LoopSlowStarts {
  readonly #onStep: (fragmentIds: readonly string[]) => void;
  readonly #now: () => number;
  readonly #services = new Map<string, Ramps>();

  /** `now`: milliseconds of a clock that is never set back; given in tests. */
  constructor({
    onStep,
    now = () => performance.now(),
  }: { onStep: (fragmentIds: readonly string[]) => void; now?: () => number }) {
    this.#onStep = onStep;
    this.#now = now;
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
    const lowered = new Map<string, number>();
    let nextAt = Number.POSITIVE_INFINITY;
    for (const { realServerId, weight } of weights) {
      const began = before?.serving.has(realServerId) ? before.began.get(realServerId) : before && now;
      if (began === undefined) continue;
      const step = slowStartWeight(weight, now - began, slowStartSeconds);
      if (step.nextMs === null) continue;
      ramps.began.set(realServerId, began);
      lowered.set(realServerId, step.weight);
      nextAt = Math.min(nextAt, began + step.nextMs);
    }
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
    clearTimeout(this.#services.get(fragmentId)?.timer);
    this.#services.delete(fragmentId);
  }

  close(): void {
    for (const id of [...this.#services.keys()]) this.remove(id);
  }
}
