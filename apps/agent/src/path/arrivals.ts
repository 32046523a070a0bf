import { type PathEnd, readPathEnd } from "@trigon/kernel";
import type { ArrivalReport, Facts, Fragment, RealServerFragment } from "@trigon/model";
import { type ArrivalStep, arrivalKey, arrivalSteps, interfaceToward, tunnelName } from "@trigon/planner";
import type { KernelCounters } from "@trigon/reconciler";

interface Seen {
  packets: number;
  /** When the count last grew; null: not in this run. */
  at: number | null;
}

/** What a real server saw of directors' path probes, from its rules' counts: when each last grew. */
export class Arrivals {
  readonly #seen = new Map<string, Seen>();
  readonly #read: typeof readPathEnd;

  constructor(read: typeof readPathEnd = readPathEnd) {
    this.#read = read;
  }

  /** Takes counts in and answers what they say. `now` in milliseconds that never go back. */
  report(rules: KernelCounters["rules"], fragments: Iterable<Fragment>, facts: Facts | null, now: number): ArrivalReport[] {
    const reports: ArrivalReport[] = [];
    for (const fragment of fragments) {
      if (fragment.kind !== "realServer.serve" || !fragment.probedFrom || !facts) continue;
      const ago = (step: ArrivalStep) => {
        const times = fragment.probedFrom!.flatMap(
          (prober) => this.#lastGrowth(arrivalKey(step, fragment, prober), rules, now) ?? [],
        );
        return times.length > 0 ? now - Math.max(...times) : null;
      };
      const [arrivedAgoMs, deliveredAgoMs, answeredAgoMs] = arrivalSteps.map(ago);
      const end = this.#endOf(fragment, facts);
      reports.push({
        serviceId: fragment.serviceId,
        arrivedAgoMs: arrivedAgoMs!,
        deliveredAgoMs: deliveredAgoMs!,
        answeredAgoMs: answeredAgoMs!,
        ...end,
      });
    }
    return reports;
  }

  #lastGrowth(key: string, rules: KernelCounters["rules"], now: number): number | null {
    const packets = rules.get(key)?.packets;
    const before = this.#seen.get(key);
    if (packets === undefined) {
      this.#seen.delete(key);
      return null;
    }
    const at = before && packets > before.packets ? now : (before?.at ?? null);
    this.#seen.set(key, { packets, at });
    return at;
  }

  #endOf({ vip, port, endpoints, directors, encapsulation }: RealServerFragment, facts: Facts): PathEnd {
    const tunnelled = endpoints.find(({ forwarding }) => forwarding === "tun");
    const director = directors[0];
    const isTunnel = tunnelled !== undefined && director !== undefined;
    const [first] = endpoints;
    const entrance = isTunnel
      ? tunnelName(director.index, encapsulation, tunnelled.rip, facts)
      : ((first && facts.interfaces.find(({ addresses }) => addresses.some(({ address }) => address === first.rip))?.name) ??
        (first ? interfaceToward(first.rip, facts)?.name : undefined) ??
        null);
    return this.#read({ vip, port, entrance, isTunnel });
  }
}
