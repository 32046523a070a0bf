import { type ActiveCheck, type PlannedHealth, type RealServerHealth, type ServiceHealth, verdictIn } from "@trigon/model";
import { Agenda, type Clock } from "./agenda.ts";
import { type EndpointState, isChanging, newEndpoint, step } from "./machine.ts";
import type { Probe, ProbeResult, Target } from "./probe.ts";
import { judge, type Member, newService, type ServiceMemory, sameHealth } from "./service.ts";

export type { Clock } from "./agenda.ts";

/** A service whose real servers are to be checked. */
export interface CheckedService {
  health: PlannedHealth;
  members: readonly (Target & { realServerId: string; isCandidate: boolean })[];
}

/** What outlives the process: verdicts by what they are about, never by a place in a configuration. */
export interface SavedHealth {
  endpoints: Record<string, EndpointState>;
  services: Record<string, ServiceMemory>;
}

export interface EngineOptions {
  probe: Probe;
  clock: Clock;
  /** From 0 to 1. */
  random: () => number;
  saved?: SavedHealth;
  /** What checks mean for these services is no longer what it was. */
  onEffect(serviceIds: readonly string[]): void;
  /** Something about these services reads differently: a verdict, a reason, the mode. */
  onNews(serviceIds: readonly string[]): void;
  /** An endpoint went down, or came back. */
  onVerdict?(target: Target, kind: ActiveCheck["kind"], state: EndpointState): void;
}

interface Endpoint {
  key: string;
  identity: string;
  target: Target;
  check: ActiveCheck;
  state: EndpointState;
  /** The services that share this probe. */
  services: Set<string>;
}

interface Service extends CheckedService {
  keys: string[];
  memory: ServiceMemory;
  result: ServiceHealth;
}

/** First probes, of however many endpoints, begin within this time. */
const firstWithinMs = 1_000;
/** How long an endpoint that nobody asks about is remembered. */
const rememberedMs = 10 * 60_000;
const mostRemembered = 20_000;
const keptLateness = 4_096;

/**
 * Checks the real servers of services and says what that means for each. One probe serves all services that ask the same of the same endpoint.
 * Knows no kernel and no controller; clock, chance and probes are given.
 */
export class HealthEngine {
  readonly #options: EngineOptions;
  readonly #agenda: Agenda<Endpoint>;
  readonly #endpoints = new Map<string, Endpoint>();
  /** The newest probe of each identity: an endpoint asked the same way, whatever the timing. */
  readonly #latest = new Map<string, Endpoint>();
  readonly #services = new Map<string, Service>();
  /** States of the last run, and of endpoints that were left: taken up by who asks the same of the same endpoint before `until`. */
  readonly #remembered = new Map<string, { state: EndpointState; until: number }>();
  readonly #savedServices: Map<string, ServiceMemory>;
  readonly #lateness: number[] = [];
  /** Those that are asked at once now. */
  readonly #hastened = new Set<Endpoint>();
  #probes = 0;
  #isStopped = false;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#agenda = new Agenda(options.clock, (endpoint, at, now) => this.#due(endpoint, at, now));
    for (const [identity, state] of Object.entries(options.saved?.endpoints ?? {})) this.#remember(identity, state);
    this.#savedServices = new Map(Object.entries(options.saved?.services ?? {}));
  }

  /** Checks a service from now on, as it now is; what is known of its endpoints stays. Answers what that means for it. */
  put(id: string, service: CheckedService): ServiceHealth {
    const before = this.#services.get(id);
    const { check } = service.health;
    const text = JSON.stringify(check);
    const keys = check.kind === "none" ? [] : service.members.map((member) => this.#join(id, member, check, text));
    const kept = new Set(keys);
    for (const key of before?.keys ?? []) if (!kept.has(key)) this.#leave(id, key);
    const memory = before?.memory ?? this.#savedServices.get(id) ?? newService;
    this.#savedServices.delete(id);
    const next: Service = { ...service, keys, memory, result: { mode: "normal", out: new Set() } };
    this.#services.set(id, next);
    this.#judge(next);
    return next.result;
  }

  /** Checks a service no more. An id that is not there is no error. */
  remove(id: string): void {
    for (const key of this.#services.get(id)?.keys ?? []) this.#leave(id, key);
    this.#services.delete(id);
  }

  /**
   * Asks a service's real servers at once, beside their usual turns: as long as an answer differs from the verdict, again at the fast interval,
   * until the verdict is settled. An id that is not there is no error.
   */
  hasten(id: string): void {
    for (const key of this.#services.get(id)?.keys ?? []) {
      const endpoint = this.#endpoints.get(key);
      if (!endpoint || this.#hastened.has(endpoint)) continue;
      this.#hastened.add(endpoint);
      const { rise, fall } = endpoint.check;
      void this.#askNow(endpoint, Math.max(rise, fall)).finally(() => this.#hastened.delete(endpoint));
    }
  }

  async #askNow(endpoint: Endpoint, times: number): Promise<void> {
    const { clock, probe } = this.#options;
    for (let left = times; left > 0 && this.#isWanted(endpoint); left--) {
      this.#probes++;
      const result = await probe(endpoint.target, endpoint.check);
      if (!this.#isWanted(endpoint)) return;
      this.#learn(endpoint, result);
      if (!isChanging(endpoint.state)) return;
      await new Promise<void>((resolve) => void clock.after(endpoint.check.fastIntervalMs, resolve));
    }
  }

  ids(): IterableIterator<string> {
    return this.#services.keys();
  }

  health(id: string): ServiceHealth | undefined {
    return this.#services.get(id)?.result;
  }

  /** What people want to know of each real server of a service. */
  report(id: string): { mode: ServiceHealth["mode"]; realServers: RealServerHealth[] } | undefined {
    const service = this.#services.get(id);
    if (!service) return undefined;
    const realServers = service.keys.map((key, index): RealServerHealth => {
      const { realServerId } = service.members[index]!;
      const { verdict, since, reason, message, latencyMs } = this.#endpoints.get(key)!.state;
      const isOut = verdictIn(service.result, realServerId) === "down";
      return { realServerId, verdict, isOut, reason, message, latencyMs, since: new Date(since).toISOString() };
    });
    return { mode: service.result.mode, realServers };
  }

  /** How many endpoints are asked, how many probes were made, and how late the 99th of a hundred began, in milliseconds. */
  stats(): { endpoints: number; probes: number; p99LatenessMs: number } {
    const sorted = this.#lateness.toSorted((a, b) => a - b);
    const p99LatenessMs = Math.round(sorted[Math.floor(sorted.length * 0.99)] ?? 0);
    return { endpoints: this.#endpoints.size, probes: this.#probes, p99LatenessMs };
  }

  save(): SavedHealth {
    const endpoints: SavedHealth["endpoints"] = {};
    const now = this.#options.clock.now();
    for (const [identity, { state, until }] of this.#remembered) if (until > now) endpoints[identity] = state;
    for (const [identity, { state }] of this.#latest) endpoints[identity] = state;
    const services: SavedHealth["services"] = {};
    for (const [id, { memory }] of this.#services) if (memory.out.length > 0 || !memory.hasQuorum) services[id] = memory;
    return { endpoints, services };
  }

  stop(): void {
    this.#isStopped = true;
    this.#agenda.stop();
  }

  #join(id: string, { rip, port: own, through }: Target, check: ActiveCheck, text: string): string {
    const target: Target = { rip, port: check.port ?? own, ...(through && { through }) };
    const way = through
      ? `${rip} ${target.port} ${through.vip} ${through.forwarding} ${through.encapsulation}`
      : `${rip} ${target.port}`;
    const key = `${way} ${text}`;
    const known = this.#endpoints.get(key);
    if (known) {
      known.services.add(id);
      return key;
    }
    const { clock, random } = this.#options;
    const identity = `${check.kind} ${way}`;
    const state = this.#known(identity) ?? newEndpoint(clock.wall());
    const endpoint: Endpoint = { key, identity, target, check, state, services: new Set([id]) };
    this.#endpoints.set(key, endpoint);
    this.#latest.set(identity, endpoint);
    this.#agenda.add(clock.now() + random() * Math.min(firstWithinMs, check.intervalMs), endpoint);
    return key;
  }

  #leave(id: string, key: string): void {
    const endpoint = this.#endpoints.get(key);
    if (!endpoint) return;
    endpoint.services.delete(id);
    if (endpoint.services.size > 0) return;
    this.#endpoints.delete(key);
    if (this.#latest.get(endpoint.identity) !== endpoint) return;
    this.#latest.delete(endpoint.identity);
    this.#remember(endpoint.identity, endpoint.state);
  }

  #remember(identity: string, state: EndpointState): void {
    this.#remembered.delete(identity);
    this.#remembered.set(identity, { state, until: this.#options.clock.now() + rememberedMs });
    if (this.#remembered.size > mostRemembered) this.#remembered.delete(this.#remembered.keys().next().value!);
  }

  /** What is known of an endpoint under another timing, or from before. */
  #known(identity: string): EndpointState | undefined {
    const live = this.#latest.get(identity);
    if (live) return live.state;
    const before = this.#remembered.get(identity);
    this.#remembered.delete(identity);
    return before && before.until > this.#options.clock.now() ? before.state : undefined;
  }

  #due(endpoint: Endpoint, at: number, began: number): void {
    if (!this.#isWanted(endpoint)) return;
    const { clock, probe } = this.#options;
    this.#lateness[this.#probes++ % keptLateness] = Math.max(0, began - at);
    void probe(endpoint.target, endpoint.check).then((result) => {
      if (!this.#isWanted(endpoint)) return;
      this.#learn(endpoint, result);
      // From when it was due, not from when it began: what is late once is not later each time.
      // The clock is looked at where it may matter only: hundreds of probes a second would spend a good part of their time on that.
      const now = result.outcome === "pass" ? began + result.latencyMs : clock.now();
      this.#agenda.add(Math.max(now, at + this.#interval(endpoint)), endpoint);
    });
  }

  /** Endpoints that nobody asks about any more are forgotten when their turn comes. */
  #isWanted(endpoint: Endpoint): boolean {
    return !this.#isStopped && this.#endpoints.get(endpoint.key) === endpoint;
  }

  #interval({ state, check }: Endpoint): number {
    const { intervalMs, fastIntervalMs, jitter } = check;
    return (isChanging(state) ? Math.min(fastIntervalMs, intervalMs) : intervalMs) * (1 - jitter * this.#options.random());
  }

  #learn(endpoint: Endpoint, result: ProbeResult): void {
    const before = endpoint.state;
    const isAsEver = before.verdict === "up" && result.outcome === "pass";
    endpoint.state = step(before, result, endpoint.check, isAsEver ? before.since : this.#options.clock.wall());
    const isVerdictNew = endpoint.state.verdict !== before.verdict;
    if (!isVerdictNew && endpoint.state.reason === before.reason) return;
    const isFirstWord = before.verdict === "checking" && endpoint.state.verdict === "up";
    if (isVerdictNew && !isFirstWord) this.#options.onVerdict?.(endpoint.target, endpoint.check.kind, endpoint.state);
    const ids = [...endpoint.services];
    const changed = isVerdictNew ? ids.filter((id) => this.#judge(this.#services.get(id)!)) : [];
    if (changed.length > 0) this.#options.onEffect(changed);
    this.#options.onNews(ids);
  }

  /** Answers whether what checks mean for the service changed. */
  #judge(service: Service): boolean {
    const members = service.keys.map((key, index): Member => {
      const { realServerId, isCandidate } = service.members[index]!;
      const { verdict, since } = this.#endpoints.get(key)!.state;
      return { realServerId, verdict, since, isCandidate };
    });
    // A service that nobody checks has whoever it has.
    const unchecked = service.keys.length === 0 ? service.members.map(asUnchecked) : [];
    const { quorum, failOpen, maxOutAtOnce, sorryServer } = service.health;
    const policy = { quorum, failOpen, maxOutAtOnce, hasSorryServer: sorryServer !== null };
    const { memory, health } = judge(service.memory, [...members, ...unchecked], policy);
    service.memory = memory;
    const isSame = sameHealth(service.result, health);
    if (!isSame) service.result = health;
    return !isSame;
  }
}

function asUnchecked({ realServerId, isCandidate }: CheckedService["members"][number]): Member {
  return { realServerId, isCandidate, verdict: "checking", since: 0 };
}
