import {
  type DirectorServiceFragment,
  type DrainReport,
  type DrainSpec,
  isDraining,
  type PinnedConnection,
  type PlannedDestination,
  type Protocol,
  resourceKey,
} from "@trigon/model";
import type { IpvsConnection, KernelCounters } from "@trigon/reconciler";
import { type Log, reasonOf } from "../log.ts";
import { type DrainSample, etaSeconds, recent } from "./eta.ts";
import { pinnedOf, type SeenConnections } from "./pinned.ts";

/** What the loop needs of drains: a fragment as it is to be carried out now. */
export interface LoopDrains {
  /** Follows the drains of a service, and answers its fragment with whoever is out (drained for maintenance, or past the deadline) disabled. */
  put(fragment: DirectorServiceFragment): DirectorServiceFragment;
  remove(fragmentId: string): void;
}

export interface DrainsOptions {
  /** The counters of these services (resource keys) only. */
  counters(services: readonly string[]): Promise<Pick<KernelCounters, "destinations">>;
  /** The connection table's entries of these destinations (resource keys). */
  connections(destinations: readonly string[]): Promise<readonly IpvsConnection[]>;
  /** Real servers of these fragments are out from now on. */
  onOut(fragmentIds: readonly string[]): void;
  onEvent(key: string, message: string): void;
  log: Log;
  /** Wall-clock milliseconds; given in tests. */
  now?: () => number;
  everyMs?: number;
}

interface Drain {
  fragmentId: string;
  serviceId: string;
  serviceName: string;
  protocol: Protocol;
  rip: string;
  realServerId: string;
  service: string;
  destination: string;
  isMaintenance: boolean;
  spec: DrainSpec;
  since: number;
  samples: DrainSample[];
  counts: { active: number; inactive: number; persistent: number };
  /** Since when nothing is left; null: something is, or nobody looked yet. */
  emptySince: number | null;
  isOut: boolean;
  pinned: readonly PinnedConnection[];
  seen: SeenConnections;
}

/** A handshake under way counts as inactive: only what stays empty this long is drained. */
const settleMs = 3_000;
const everyMs = 1_000;
/** The connection table is read at most this often, and at most a twentieth of the time goes into it. */
const connectionsMs = 10_000;
const defaultSpec: DrainSpec = { mode: "activeConnections", until: null };

/**
 * Real servers that are being drained on this director: how far they are, and when they are out. It looks at their services' counters only,
 * and only while somebody drains; it needs no controller.
 */
export class Drains implements LoopDrains {
  readonly #options: DrainsOptions;
  readonly #now: () => number;
  readonly #drains = new Map<string, Map<string, Drain>>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();
  #trouble: string | null = null;
  #nextConnections = 0;

  constructor(options: DrainsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  put(fragment: DirectorServiceFragment): DirectorServiceFragment {
    if (!fragment.destinations.some(isDraining)) {
      this.remove(fragment.id);
      return fragment;
    }
    const before = this.#drains.get(fragment.id);
    const own = new Map<string, Drain>();
    for (const destination of fragment.destinations) {
      if (!isDraining(destination)) continue;
      own.set(destination.realServerId, this.#follow(before?.get(destination.realServerId), fragment, destination));
    }
    this.#drains.set(fragment.id, own);
    this.#judge(own.values());
    this.#schedule();
    if (![...own.values()].some(({ isOut }) => isOut)) return fragment;
    const destinations = fragment.destinations.map((destination) =>
      own.get(destination.realServerId)?.isOut ? { ...destination, adminState: "disabled" as const } : destination,
    );
    return { ...fragment, destinations };
  }

  remove(fragmentId: string): void {
    this.#drains.delete(fragmentId);
    if (this.#drains.size === 0) this.#stopTimer();
  }

  /** How far every drain is. */
  report(): DrainReport[] {
    return [...this.#all()].map((drain) => ({
      serviceId: drain.serviceId,
      realServerId: drain.realServerId,
      mode: drain.spec.mode,
      until: drain.spec.until,
      since: new Date(drain.since).toISOString(),
      ...drain.counts,
      left: leftOf(drain),
      etaSeconds: drain.isOut ? 0 : etaSeconds(drain.samples),
      state: drain.isOut ? "out" : this.#isDrained(drain) ? "drained" : "draining",
      pinned: drain.isOut ? [] : [...drain.pinned],
    }));
  }

  /** Looks once, now. */
  async look(): Promise<void> {
    const waiting = [...this.#all()].filter(({ isOut }) => !isOut);
    if (waiting.length === 0) return;
    const { destinations } = await this.#options.counters([...new Set(waiting.map(({ service }) => service))]);
    const now = this.#now();
    for (const drain of waiting) {
      const { active = 0, inactive = 0, persistent = 0 } = destinations.get(drain.destination) ?? {};
      drain.counts = { active, inactive, persistent };
      const left = leftOf(drain);
      drain.samples = recent([...drain.samples, { atMs: now, left }], now);
      drain.emptySince = left > 0 ? null : (drain.emptySince ?? now);
    }
    if (now >= this.#nextConnections) await this.#lookAtConnections(waiting, now);
    const out = this.#judge(this.#all());
    if (out.length > 0) this.#options.onOut([...new Set(out.map(({ fragmentId }) => fragmentId))]);
  }

  async #lookAtConnections(waiting: readonly Drain[], now: number): Promise<void> {
    const began = performance.now();
    const held = waiting.filter((drain) => leftOf(drain) > 0);
    const connections = held.length === 0 ? [] : await this.#options.connections(held.map(({ destination }) => destination));
    for (const drain of waiting) {
      const own = connections.filter(({ destination }) => destination === drain.destination);
      Object.assign(drain, pinnedOf(own, drain.seen, now));
    }
    this.#nextConnections = now + Math.max(connectionsMs, 20 * (performance.now() - began));
  }

  async close(): Promise<void> {
    this.#drains.clear();
    this.#stopTimer();
    await this.#looking;
  }

  #follow(before: Drain | undefined, fragment: DirectorServiceFragment, destination: PlannedDestination): Drain {
    const isMaintenance = destination.adminState === "maintenance";
    const spec = destination.drain ?? defaultSpec;
    if (before) {
      const isSame = before.isMaintenance === isMaintenance && before.spec.mode === spec.mode && before.spec.until === spec.until;
      return isSame ? before : { ...before, isMaintenance, spec, isOut: false, samples: [], emptySince: null };
    }
    const { realServerId, rip, port } = destination;
    const service = resourceKey.ipvsService(fragment.protocol, fragment.vip, fragment.port);
    return {
      fragmentId: fragment.id,
      serviceId: fragment.serviceId,
      serviceName: fragment.name,
      protocol: fragment.protocol,
      rip,
      realServerId,
      service,
      destination: resourceKey.ipvsDestination(service, rip, port),
      isMaintenance,
      spec,
      since: this.#now(),
      samples: [],
      counts: { active: 0, inactive: 0, persistent: 0 },
      emptySince: null,
      isOut: false,
      pinned: [],
      seen: new Map(),
    };
  }

  *#all(): Generator<Drain> {
    for (const own of this.#drains.values()) yield* own.values();
  }

  #isDrained({ emptySince }: Drain): boolean {
    return emptySince !== null && this.#now() - emptySince >= settleMs;
  }

  /** Who is out now and was not before. */
  #judge(drains: Iterable<Drain>): Drain[] {
    const fresh: Drain[] = [];
    for (const drain of drains) {
      if (drain.isOut) continue;
      const isLate = drain.spec.until !== null && Date.parse(drain.spec.until) <= this.#now();
      if (!isLate && !(drain.isMaintenance && this.#isDrained(drain))) continue;
      drain.isOut = true;
      fresh.push(drain);
      const left = leftOf(drain);
      const why = isLate && left > 0 ? `the deadline is over; ${left} still held connections are reset` : "it is drained";
      this.#options.onEvent(drain.destination, `${drain.serviceName}: ${drain.rip} is taken out: ${why}`);
    }
    return fresh;
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #schedule(): void {
    if (this.#timer || ![...this.#all()].some(({ isOut }) => !isOut)) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#looking = this.look().then(
        () => {
          this.#trouble = null;
          this.#schedule();
        },
        (error) => {
          const reason = reasonOf(error);
          if (reason !== this.#trouble) this.#options.log.warn("Drains could not be looked at", { reason });
          this.#trouble = reason;
          this.#schedule();
        },
      );
    }, this.#options.everyMs ?? everyMs);
  }
}

/**
 * What a drain still waits for. TCP: what is established (an entry that only closes needs nobody any more). Others know no state: every entry.
 * Templates only where persistence is honoured.
 */
function leftOf({ protocol, counts: { active, inactive, persistent }, spec }: Drain): number {
  return active + (protocol === "tcp" ? 0 : inactive) + (spec.mode === "honourPersistence" ? persistent : 0);
}
