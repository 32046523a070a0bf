import { readFileSync } from "node:fs";
import { type Clock, HealthEngine, type Probe, probe as realProbe, type SavedHealth } from "@trigon/health";
import { type DirectorServiceFragment, fragmentId, type HealthMode, type HealthReport, type ServiceHealth } from "@trigon/model";
import { type Log, reasonOf } from "../log.ts";
import { writeAtomically } from "../state/files.ts";

/** What the loop needs of health: verdicts are an input of their own beside facts. */
export interface LoopHealth {
  /** Checks a service as its fragment says, and answers what that means for it now. */
  put(fragment: DirectorServiceFragment): ServiceHealth | undefined;
  /** Checks it no more. */
  remove(fragmentId: string): void;
}

export interface HealthChecksOptions {
  /** Where verdicts are kept. */
  path: string;
  log: Log;
  /** These services want other weights than before. */
  onEffect(fragmentIds: readonly string[]): void;
  /** There is something to report. */
  onNews(): void;
  onEvent(key: string, message: string): void;
  /** Given in tests. */
  probe?: Probe;
}

/** Verdicts are on the disk at most this long after they came to be. */
const saveMs = 200;

const clock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
};

/** A director's health checks: the engine on this machine's clock and network, and its verdicts on the disk. */
export class HealthChecks implements LoopHealth {
  readonly #options: HealthChecksOptions;
  readonly #engine: HealthEngine;
  readonly #names = new Map<string, string>();
  readonly #news = new Set<string>();
  /** As last told, by fragment. */
  readonly #modes = new Map<string, HealthMode>();
  #saving: NodeJS.Timeout | undefined;

  constructor(options: HealthChecksOptions) {
    this.#options = options;
    this.#engine = new HealthEngine({
      probe: options.probe ?? realProbe,
      clock,
      random: Math.random,
      saved: readSaved(options.path, options.log),
      onEffect: (ids) => options.onEffect(ids),
      onNews: (ids) => this.#onNews(ids),
      onVerdict: ({ rip, port, through }, kind, { verdict, message }) => {
        const check = through ? `${kind} check by the VIP ${through.vip}` : `${kind} check`;
        options.onEvent(
          `health ${kind} ${rip} ${port}${through ? ` ${through.vip}` : ""}`,
          verdict === "down" ? `${rip} fails its ${check}: ${message}` : `${rip} passes its ${check} again`,
        );
      },
    });
  }

  put(fragment: DirectorServiceFragment): ServiceHealth | undefined {
    const { id, name, health, destinations, vip, encapsulation } = fragment;
    if (!health) {
      this.remove(id);
      return undefined;
    }
    this.#names.set(id, name);
    const isByVip = health.check.kind !== "none" && health.check.target === "vip";
    const members = destinations.map(({ realServerId, rip, port, weight, forwarding, adminState = "active" }) => ({
      realServerId,
      rip,
      port,
      isCandidate: weight > 0 && adminState === "active",
      ...(isByVip && { through: { vip, forwarding, encapsulation } }),
    }));
    const answer = this.#engine.put(id, { health, members });
    this.#noteMode(id, answer.mode);
    this.#news.add(id);
    return answer;
  }

  remove(fragmentId: string): void {
    if (!this.#names.delete(fragmentId)) return;
    this.#engine.remove(fragmentId);
    this.#modes.delete(fragmentId);
    this.#news.delete(fragmentId);
  }

  /** Probes a service's real servers at once, whatever front end of it they are under. */
  hasten(serviceId: string): void {
    const own = fragmentId.directorService(serviceId);
    for (const id of this.#engine.ids()) if (id === own || id.startsWith(`${own}:`)) this.#engine.hasten(id);
  }

  /** The services whose health reads differently since the last call. */
  takeNews(): Set<string> {
    const news = new Set(this.#news);
    this.#news.clear();
    return news;
  }

  ids(): IterableIterator<string> {
    return this.#engine.ids();
  }

  report(ids: Iterable<string>): HealthReport[] {
    return [...ids].flatMap((fragmentId) => {
      const report = this.#engine.report(fragmentId);
      return report ? [{ fragmentId, ...report }] : [];
    });
  }

  stats() {
    return this.#engine.stats();
  }

  close(): void {
    this.#engine.stop();
    if (this.#saving) this.#save();
  }

  #onNews(ids: readonly string[]): void {
    for (const id of ids) {
      this.#news.add(id);
      this.#noteMode(id, this.#engine.health(id)?.mode ?? "normal");
    }
    this.#saving ??= setTimeout(() => this.#save(), saveMs);
    this.#options.onNews();
  }

  #noteMode(id: string, mode: HealthMode): void {
    const before = this.#modes.get(id) ?? "normal";
    this.#modes.set(id, mode);
    if (mode === before) return;
    const name = this.#names.get(id) ?? id;
    const sentences: Record<HealthMode, string> = {
      normal: `${name}: enough real servers pass their checks again`,
      failOpen: `${name}: too few real servers pass their checks, so checks are not heeded (fail-open)`,
      sorry: `${name}: too few real servers pass their checks, so the sorry server serves`,
    };
    this.#options.onEvent(id, sentences[mode]);
  }

  #save(): void {
    clearTimeout(this.#saving);
    this.#saving = undefined;
    try {
      writeAtomically(this.#options.path, JSON.stringify(this.#engine.save()));
    } catch (error) {
      this.#options.log.error("Health verdicts could not be written", { reason: reasonOf(error) });
    }
  }
}

/** Lost verdicts are no harm: every real server is checked anew and serves meanwhile. */
function readSaved(path: string, log: Log): SavedHealth {
  const nothing: SavedHealth = { endpoints: {}, services: {} };
  try {
    return { ...nothing, ...(JSON.parse(readFileSync(path, "utf8")) as SavedHealth) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT")
      log.warn("The last health verdicts cannot be read: everything is checked anew", { reason: reasonOf(error) });
    return nothing;
  }
}
