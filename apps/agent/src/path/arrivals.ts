import { type PathEnd, type PathPlace, readPathEnds } from "@trigon/kernel";
import type { ArrivalReport, Facts, Fragment, RealServerFragment } from "@trigon/model";
import { type ArrivalStep, arrivalKey, tunnelName } from "@trigon/planner";
import type { KernelCounters } from "@trigon/reconciler";

interface Seen {
  packets: number;
  /** When the count last grew; null: not in this run. */
  at: number | null;
}

/** What a real server saw of directors' path probes, from its rules' counts: when each last grew. */
export class Arrivals {
  readonly #seen = new Map<string, Seen>();
  readonly #read: typeof readPathEnds;

  constructor(read: typeof readPathEnds = readPathEnds) {
    this.#read = read;
  }

  /** Takes counts in and answers what they say. `now` in milliseconds that never go back. */
  report(rules: KernelCounters["rules"], fragments: Iterable<Fragment>, facts: Facts | null, now: number): ArrivalReport[] {
    const reports: ArrivalReport[] = [];
    let tell: ((place: PathPlace) => PathEnd) | undefined;
    for (const fragment of fragments) {
      if (fragment.kind !== "realServer.serve" || !fragment.probedFrom || !facts) continue;
      const ago = (step: ArrivalStep) => {
        const times = fragment.probedFrom!.flatMap(
          (prober) => this.#lastGrowth(arrivalKey(step, fragment, prober), rules, now) ?? [],
        );
        return times.length > 0 ? Math.round(now - Math.max(...times)) : null;
      };
      const accepted = fragment.probedFrom.some((prober) => rules.has(arrivalKey("accepted", fragment, prober)));
      tell ??= this.#read();
      const end = tell(placeOf(fragment, facts));
      reports.push({
        serviceId: fragment.serviceId,
        arrivedAgoMs: ago("arrived"),
        deliveredAgoMs: ago("delivered"),
        ...(accepted ? { acceptedAgoMs: ago("accepted") } : {}),
        answeredAgoMs: ago("answered"),
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
}

function placeOf({ vip, protocol, port, endpoints, directors, encapsulation }: RealServerFragment, facts: Facts): PathPlace {
  const tunnelled = endpoints.find(({ forwarding }) => forwarding === "tun");
  const director = directors[0];
  if (tunnelled && director)
    return { vip, protocol, port, entrance: tunnelName(director.index, encapsulation, tunnelled.rip, facts), isTunnel: true };
  const rip = endpoints[0]?.rip;
  const own = facts.interfaces.find(({ addresses }) => addresses.some(({ address }) => address === rip));
  return { vip, protocol, port, entrance: own?.name ?? null, isTunnel: false };
}
