import { networkInterfaces } from "node:os";
import { type PathAttempt, type PathTarget, tryConnection, tryDatagram, tryRequest, trySize, udpBytes } from "@trigon/health";
import type { PathDestination, PathPort } from "@trigon/kernel";
import {
  canonicalAddress,
  type DirectorServiceFragment,
  type Facts,
  type Forwarding,
  type Fragment,
  type FragmentState,
  familyOf,
  type PathOutcome,
  type PathReport,
  pathProbe,
} from "@trigon/model";
import { canProvePaths, interfaceToward, pathKeys, sourceToward } from "@trigon/planner";
import { type Log, reasonOf } from "../log.ts";

/** All in milliseconds. */
export interface ProverTimes {
  /** Between two probes of a path that works, and of one that does not. */
  everyMs: number;
  failingMs: number;
  /** From one probe to the next, whatever the path: a director has thousands of paths, and other things to do. */
  gapMs: number;
  timeoutMs: number;
  /** A UDP probe without a payload waits so long: only an error can come. */
  silentMs: number;
  /** How often it is counted what left of such probes, whose outcome does not tell. */
  countMs: number;
  /** How often the plan is looked at for paths. */
  lookMs: number;
  /** How often full-sized packets are sent where a program must do it: the service's check says nothing that could fill them. */
  sizeMs: number;
}
export const proverTimes: ProverTimes = {
  everyMs: 10_000,
  failingMs: 4_000,
  gapMs: 100,
  timeoutMs: 2_500,
  silentMs: 1_000,
  countMs: 30_000,
  lookMs: 1_000,
  sizeMs: 60_000,
};

export interface ProverOptions {
  plan: {
    readonly fragments: ReadonlyMap<string, Fragment>;
    readonly states: ReadonlyMap<string, FragmentState>;
    readonly facts: Facts | null;
  };
  port: PathPort;
  log: Log;
  signal: AbortSignal;
  times?: ProverTimes;
}

interface Path {
  key: string;
  fragment: DirectorServiceFragment;
  realServerId: string;
  destination: PathDestination;
  source: string;
  leg: string;
  mtu: number;
  /** What full-sized echo requests last said, and when. */
  sized: { fits: boolean | null; at: number } | null;
  isNat: boolean;
  /** Its own two ports, used in turn: the kernel remembers for a while which real server a port's connection went to. */
  firstPort: number;
  tries: number;
  due: number;
  verdict: Verdict | null;
  /** When packets of a probe that nothing answered were last counted, and what then. */
  counted: { at: number; sent: number; returned: number } | null;
}

interface Verdict {
  outcome: PathOutcome;
  latencyMs: number | null;
  large: boolean | null;
  sent: number;
  returned: number;
  rpFilter: number | null;
  message: string | null;
  at: number;
  since: number;
  /** When the probe before ended. */
  previousAt: number | null;
}
type Found = Omit<Verdict, "at" | "since" | "previousAt">;

const forwardOf = { dr: "droute", tun: "tunnel", nat: "masq", fullnat: "masq" } as const satisfies Record<Forwarding, string>;
const portPairs = Math.floor((pathProbe.lastPort - pathProbe.firstPort + 1) / 2);

/**
 * A director's proof that each real server is reached on the way that clients' packets take: one probe after the other, each by itself through
 * the firewall-mark service. It only reports.
 */
export class PathProver {
  readonly #options: ProverOptions;
  readonly #times: ProverTimes;
  readonly #paths = new Map<string, Path>();
  #nextPair = 0;
  #lookedAt = Number.NEGATIVE_INFINITY;
  /** Services whose paths are known, as they were planned then, and on which machine. */
  readonly #known = new Map<string, { fragment: Fragment | null; keys: string[] }>();
  #facts: Facts | null = null;
  /** Those that were due at the last look, the longest due last. */
  #due: Path[] = [];
  #trouble: string | null = null;

  constructor(options: ProverOptions) {
    this.#options = options;
    this.#times = options.times ?? proverTimes;
  }

  /** Probes until the signal aborts. */
  async run(): Promise<void> {
    const { port, signal, log } = this.#options;
    await port.clear().catch((error) => log.warn("Earlier path probes could not be cleared away", { reason: reasonOf(error) }));
    while (!signal.aborted) {
      const path = this.#nextDue();
      if (path) await this.#prove(path);
      await pause(path ? this.#times.gapMs : this.#times.lookMs, signal);
    }
    await port.close();
  }

  /** What is known of each path; failing ones first, when there are more than `limit`. */
  report(limit = 1_000): PathReport[] {
    const now = performance.now();
    const known = [...this.#paths.values()].filter(({ verdict }) => verdict !== null);
    const order = known.length > limit ? known.sort((a, b) => Number(isOk(a)) - Number(isOk(b))) : known;
    return order.slice(0, limit).map(({ fragment, realServerId, verdict }) => {
      const { at, since, previousAt, ...rest } = verdict!;
      return {
        serviceId: fragment.serviceId,
        realServerId,
        ...rest,
        agoMs: Math.round(now - at),
        sinceMs: Math.round(now - since),
        previousAgoMs: previousAt === null ? null : Math.round(now - previousAt),
      };
    });
  }

  /** Forgets when a service's paths were to be looked at next: now. */
  hasten(serviceId: string): void {
    for (const path of this.#paths.values()) if (path.fragment.serviceId === serviceId) path.due = 0;
    this.#lookedAt = Number.NEGATIVE_INFINITY;
  }

  /** Once in a while the plan is looked at, and who is due; in between those are taken one by one. */
  #nextDue(): Path | undefined {
    const now = performance.now();
    if (now - this.#lookedAt >= this.#times.lookMs) {
      this.#lookedAt = now;
      this.#look();
      this.#due = [...this.#paths.values()].filter(({ due }) => due <= now).sort((a, b) => b.due - a.due);
    }
    for (let path = this.#due.pop(); path; path = this.#due.pop()) if (this.#paths.get(path.key) === path) return path;
    return undefined;
  }

  #look(): void {
    const { fragments, states, facts } = this.#options.plan;
    if (!facts) return;
    if (facts !== this.#facts) for (const known of this.#known.values()) known.fragment = null;
    this.#facts = facts;
    for (const fragment of fragments.values()) {
      if (this.#known.get(fragment.id)?.fragment === fragment || fragment.kind !== "director.service") continue;
      if (fragment.provesPaths && states.get(fragment.id)?.state !== "applied") continue; // it comes, or will be put right
      this.#take(fragment, facts);
    }
    for (const [id, { keys }] of this.#known) {
      if (fragments.has(id)) continue;
      this.#known.delete(id);
      for (const key of keys) this.#paths.delete(key);
    }
  }

  /** Makes the paths of a service what its fragment says now. */
  #take(fragment: DirectorServiceFragment, facts: Facts): void {
    const wanted = new Map<string, Path>();
    for (const planned of canProvePaths(fragment, facts) ? fragment.destinations : []) {
      const key = `${fragment.id} ${planned.realServerId}`;
      const path = this.#pathOf(key, fragment, planned, facts, this.#paths.get(key));
      if (path) wanted.set(key, path);
    }
    for (const key of this.#known.get(fragment.id)?.keys ?? []) if (!wanted.has(key)) this.#paths.delete(key);
    for (const [key, path] of wanted) this.#paths.set(key, path);
    this.#known.set(fragment.id, { fragment, keys: [...wanted.keys()] });
  }

  #pathOf(
    key: string,
    fragment: DirectorServiceFragment,
    { realServerId, rip, port, forwarding, adminState }: DirectorServiceFragment["destinations"][number],
    facts: Facts,
    known: Path | undefined,
  ): Path | undefined {
    const source = sourceToward(rip, facts)?.address;
    const { name: leg, mtu = 1_500 } = interfaceToward(rip, facts) ?? {};
    if (!source || !leg || familyOf(rip) !== familyOf(fragment.vip) || adminState === "disabled") return undefined;
    const forward = forwardOf[forwarding];
    const destination: PathDestination = { address: rip, port, forward, tunnelType: fragment.encapsulation };
    const isSame = known !== undefined && known.source === source && sameDestination(known.destination, destination);
    const base = { key, fragment, realServerId, destination, source, leg, mtu, isNat: forward === "masq" };
    if (isSame && known.fragment.vip === fragment.vip && known.fragment.port === fragment.port) return { ...known, ...base };
    const firstPort = pathProbe.firstPort + 2 * (this.#nextPair++ % portPairs);
    return { ...base, firstPort, sized: null, tries: 0, due: performance.now(), verdict: null, counted: null };
  }

  async #prove(path: Path): Promise<void> {
    const { log } = this.#options;
    try {
      this.#note(path, await this.#judge(path));
      this.#trouble = null;
    } catch (error) {
      const message = reasonOf(error);
      if (message !== this.#trouble) log.warn("A path could not be probed", { reason: message });
      this.#trouble = message;
      this.#note(path, { outcome: "unable", latencyMs: null, large: null, sent: 0, returned: 0, rpFilter: null, message });
    }
    const rest = isOk(path) || isSilent(path) ? this.#times.everyMs : this.#times.failingMs;
    path.due = performance.now() + Math.max(rest * (0.9 + Math.random() / 5), this.#paths.size * this.#times.gapMs);
  }

  #note(path: Path, found: Found): void {
    const now = performance.now();
    const isSame = path.verdict?.outcome === found.outcome;
    // A verdict may have been put under another plan meanwhile.
    const current = this.#paths.get(path.key);
    const verdict = { ...found, at: now, since: isSame ? path.verdict!.since : now, previousAt: path.verdict?.at ?? null };
    path.verdict = verdict;
    if (current && current !== path) current.verdict = verdict;
  }

  async #judge(path: Path): Promise<Found> {
    const nothing = { latencyMs: null, large: null, sent: 0, returned: 0, rpFilter: null, message: null };
    if (!holds(path.fragment.vip)) return { ...nothing, outcome: "unable", message: "This director does not hold the VIP now" };
    const release = await this.#options.port.direct(path.destination);
    try {
      const { counted: known } = path;
      const isCounted = isSilent(path) && known !== null && known.sent > 0 && performance.now() - known.at < this.#times.countMs;
      const wasOk = path.verdict === null || isOk(path) || isCounted;
      const first = wasOk ? await this.#try(path) : undefined;
      if (first?.outcome === "ok") return { ...nothing, ...first };
      if (first?.outcome === "unable") return { ...nothing, outcome: "unable", message: first.message };
      if (first?.outcome === "silent" && isCounted) {
        const { sent, returned } = known;
        return { ...nothing, outcome: "silent", sent, returned, rpFilter: path.verdict!.rpFilter };
      }
      // It fails, or does not tell: once more, counting.
      const before = await this.#options.port.packets();
      const again = await this.#try(path);
      if (again.outcome === "ok") return { ...nothing, ...again };
      if (again.outcome === "unable") return { ...nothing, outcome: "unable", message: again.message };
      const after = await this.#options.port.packets();
      const family = familyOf(path.fragment.vip);
      const counted = (key: string) => Math.max(0, (after.get(key) ?? 0) - (before.get(key) ?? 0));
      const keys = path.isNat ? [] : pathKeys.returned(family, path.leg, isUdp(path) ? "udp" : "tcp");
      const sent = counted(pathKeys.sent(family));
      const returned = keys.reduce((sum, key) => sum + counted(key), 0);
      path.counted = { at: performance.now(), sent, returned };
      return {
        ...nothing,
        outcome: again.outcome,
        large: again.outcome === "large" ? false : null,
        sent,
        returned,
        rpFilter: family === 4 ? this.#options.port.rpFilter(path.leg) : null,
      };
    } finally {
      await release();
    }
  }

  /** One try, of full-sized packets where the service's check says how to ask. */
  async #try(
    path: Path,
  ): Promise<
    | { outcome: "ok"; latencyMs: number; large: boolean | null }
    | { outcome: "refused" | "timeout" | "large" | "silent" }
    | { outcome: "unable"; message: string }
  > {
    const check = path.fragment.health?.check;
    if (isUdp(path)) return this.#tryDatagram(path);
    const http = check?.kind === "http" && check.port === null ? check : undefined;
    const asked = await (http ? tryRequest(this.#target(path), http, true) : tryConnection(this.#target(path)));
    if (asked.outcome === "ok" && http) return { ...asked, large: true };
    if (asked.outcome === "ok") {
      const large = await this.#fits(path);
      return large === false ? { outcome: "large" } : { ...asked, large };
    }
    if (asked.outcome === "unable") return asked;
    if (asked.outcome !== "silent") return { outcome: asked.outcome };
    const small: PathAttempt = await tryRequest(this.#target(path), http!, false);
    // A service that answers nothing at all is health's business: the way is open.
    if (small.outcome === "silent") return { outcome: "ok", latencyMs: this.#times.timeoutMs, large: null };
    if (small.outcome === "unable") return small;
    return { outcome: small.outcome === "ok" ? "large" : small.outcome };
  }

  /** By the payload of the service's own check, if that goes to the service's port. */
  async #tryDatagram(path: Path) {
    const check = path.fragment.health?.check;
    const asks = check?.kind === "udp" && check.port === null ? check : undefined;
    const target = this.#target(path);
    const asked = asks
      ? await tryDatagram(target, udpBytes(asks.payload, asks.encoding))
      : await tryDatagram({ ...target, timeoutMs: Math.min(target.timeoutMs, this.#times.silentMs) }, null);
    if (asked.outcome === "unable") return asked;
    if (asked.outcome !== "ok") return { outcome: asked.outcome };
    const large = await this.#fits(path);
    return large === false ? { outcome: "large" as const } : { ...asked, large };
  }

  /** A hole that was found is looked at each time, until it is gone. */
  async #fits(path: Path): Promise<boolean | null> {
    const { sized, source, destination, mtu } = path;
    if (sized && sized.fits !== false && performance.now() - sized.at < this.#times.sizeMs) return sized.fits;
    const fits = await trySize(source, destination.address, Math.min(mtu, 1_500));
    path.sized = { fits, at: performance.now() };
    return fits;
  }

  #target(path: Path): PathTarget {
    const { source, firstPort, fragment } = path;
    const sourcePort = firstPort + (path.tries++ % 2);
    return { source, sourcePort, vip: fragment.vip, port: fragment.port, timeoutMs: this.#times.timeoutMs };
  }
}

const isUdp = ({ fragment }: Path): boolean => fragment.protocol === "udp";
const isSilent = ({ verdict }: Path): boolean => verdict?.outcome === "silent";
const isOk = ({ verdict }: Path): boolean => verdict?.outcome === "ok";

function sameDestination(a: PathDestination, b: PathDestination): boolean {
  return a.address === b.address && a.port === b.port && a.forward === b.forward && a.tunnelType === b.tunnelType;
}

/** Whether an address is bound here: a probe to one that is not would go to whoever holds it. */
function holds(address: string): boolean {
  return Object.values(networkInterfaces()).some((own) => own?.some((one) => canonicalAddress(one.address) === address));
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
    function done() {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
  });
}
