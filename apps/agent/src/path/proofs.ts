import { setTimeout as sleep } from "node:timers/promises";
import { openPathPort } from "@trigon/kernel";
import type { ArrivalReport, PathReport } from "@trigon/model";
import type { KernelCounters } from "@trigon/reconciler";
import { type Log, reasonOf } from "../log.ts";
import type { NodeLoop } from "../loop.ts";
import type { Arrivals } from "./arrivals.ts";
import type { PathProver, ProverTimes } from "./prover.ts";

/** How often a plan without paths is looked at for the first of them. */
const lookMs = 1_000;

/** This node's part in the proof of paths: as a director it probes, as a real server it says what it saw. Loaded with the first path. */
export class PathProofs {
  readonly #loop: NodeLoop;
  readonly #log: Log;
  readonly #signal: AbortSignal;
  readonly #times: ProverTimes | undefined;
  #prover: PathProver | undefined;
  #arrivals: Arrivals | undefined;

  constructor(options: { loop: NodeLoop; log: Log; signal: AbortSignal; times?: ProverTimes }) {
    this.#loop = options.loop;
    this.#log = options.log;
    this.#signal = options.signal;
    this.#times = options.times;
  }

  /** Waits for the first path to prove, then proves paths until the signal aborts. */
  async run(): Promise<void> {
    while (!this.#signal.aborted && !this.#hasPaths())
      await sleep(lookMs, undefined, { signal: this.#signal, ref: false }).catch(nothing);
    if (this.#signal.aborted) return;
    const { PathProver } = await import("./prover.ts");
    const times = this.#times ? { times: this.#times } : {};
    this.#prover = new PathProver({ plan: this.#loop, port: openPathPort(), log: this.#log, signal: this.#signal, ...times });
    await this.#prover.run().catch((error) => this.#log.error("Paths are no longer proved", { reason: reasonOf(error) }));
  }

  /** What there is to tell; members are left out on a node that has no such part. */
  async say(rules: KernelCounters["rules"]): Promise<{ paths?: PathReport[]; arrivals?: ArrivalReport[] }> {
    const { fragments, facts } = this.#loop;
    const isProbed = [...fragments.values()].some((fragment) => fragment.kind === "realServer.serve" && fragment.probedFrom);
    if (isProbed && !this.#arrivals) this.#arrivals = new (await import("./arrivals.ts")).Arrivals();
    const arrivals = isProbed ? this.#arrivals?.report(rules, fragments.values(), facts, performance.now()) : undefined;
    return {
      ...(this.#prover ? { paths: this.#prover.report() } : {}),
      ...(arrivals ? { arrivals } : {}),
    };
  }

  /** Probes the paths of a service at once. */
  hasten(serviceId: string): void {
    this.#prover?.hasten(serviceId);
  }

  #hasPaths(): boolean {
    for (const fragment of this.#loop.fragments.values())
      if (fragment.kind === "director.service" && fragment.provesPaths) return true;
    return false;
  }
}

const nothing = () => undefined;
