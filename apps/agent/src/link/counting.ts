import { setTimeout as sleep } from "node:timers/promises";
import { agentProtocol, type Fragment, resourceKey } from "@trigon/model";
import type { Kernel } from "@trigon/reconciler";
import { countersOf } from "../counters.ts";
import type { Drains } from "../drain/drains.ts";
import { type Log, reasonOf } from "../log.ts";
import type { NodeLoop } from "../loop.ts";
import type { PathProofs } from "../path/proofs.ts";
import type { ControllerLink } from "./controller-link.ts";
import type { Run } from "./reporter.ts";

const watchedMs = 1_000;
const unwatchedMs = 10_000;
const mostMs = 15_000;
const keptCosts = 8;

/** How often figures are wanted: often while somebody looks, which holds only for as long as the controller says it. */
export class Looking {
  readonly #now: () => number;
  #until = Number.NEGATIVE_INFINITY;
  #alarm = new AbortController();

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Somebody looks for so many seconds; who waits for the next figures waits anew. */
  tell(seconds: number): void {
    const wasOn = this.isOn;
    this.#until = Math.max(this.#until, this.#now() + seconds * 1000);
    if (!wasOn) this.#alarm.abort();
  }

  get isOn(): boolean {
    return this.#now() < this.#until;
  }

  /** Until figures are due again that were last read at `beganMs`; never sooner than `leastMs` after that. */
  async due(beganMs: number, leastMs: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const left = beganMs + Math.max(this.isOn ? watchedMs : unwatchedMs, leastMs) - this.#now();
      if (left <= 0) return;
      this.#alarm = new AbortController();
      await sleep(left, undefined, { signal: AbortSignal.any([signal, this.#alarm.signal]) }).catch(() => undefined);
    }
  }
}

/**
 * Sends counters every second while somebody looks and else every ten, or less often where reading them takes long: a fortieth of the time goes into it, but that nobody waits
 * longer than a quarter of a minute.
 */
export async function sendCounters(options: {
  kernel: Kernel;
  loop: NodeLoop;
  drains: Drains;
  proofs: PathProofs;
  link: ControllerLink;
  run: Run;
  looking: Looking;
  log: Log;
  signal: AbortSignal;
}): Promise<void> {
  const { kernel, loop, drains, proofs, link, run, looking, log, signal } = options;
  let trouble: string | null = null;
  const costs: number[] = [];
  while (!signal.aborted) {
    const began = performance.now();
    let isCounted = false;
    try {
      if (loop.fragments.size > 0 && link.state.state === "streaming") {
        isCounted = true;
        const counted = await kernel.counters(servicesAlone(loop.fragments.values()));
        const counters = countersOf(counted, loop.fragments.values());
        const paths = await proofs.say(counted.rules);
        const { bootId, runId } = run;
        const at = new Date().toISOString();
        await link.counters({ protocol: agentProtocol, bootId, runId, at, ...counters, ...paths, drains: drains.report() });
      }
      trouble = null;
    } catch (error) {
      const reason = reasonOf(error);
      if (reason !== trouble && !signal.aborted) log.warn("Counters could not be sent", { reason });
      trouble = reason;
    }
    const took = performance.now() - began;
    // What else the machine does makes a reading long, but not dear: the shortest of the last says what it costs.
    if (isCounted) costs.push(took);
    if (costs.length > keptCosts) costs.shift();
    const isReady = isCounted || link.state.state === "streaming";
    const dearMs = took + Math.min(mostMs, 40 * Math.min(...costs, mostMs));
    // Before there is anything to count, or anybody to tell, it is looked for again soon.
    if (isReady && loop.fragments.size > 0) await looking.due(began, costs.length > 0 ? dearMs : 0, signal);
    else await sleep(watchedMs, undefined, { signal }).catch(() => undefined);
  }
}

/** The services to count where nothing else is: only a real server's rules count, and reading rules starts a program. */
export function servicesAlone(fragments: Iterable<Fragment>): string[] | undefined {
  const keys: string[] = [];
  for (const fragment of fragments) {
    if (fragment.kind === "realServer.serve") return undefined;
    if (fragment.kind === "director.service") keys.push(resourceKey.ipvsService(fragment.protocol, fragment.vip, fragment.port));
  }
  return keys;
}
