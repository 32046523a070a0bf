import {
  type AgentEvent,
  type AgentReport,
  agentProtocol,
  type DoctorReport,
  type GroupReport,
  type HealthReport,
  reportLimits,
} from "@trigon/model";
import type { HealthChecks } from "../health/checks.ts";
import { type Log, reasonOf } from "../log.ts";
import type { NodeLoop } from "../loop.ts";
import { tableOf } from "../table.ts";
import { Backoff } from "./backoff.ts";
import type { ControllerLink } from "./controller-link.ts";
import { HttpError } from "./http.ts";

/** Names one run of this agent: reports are ordered by (bootId, runId, pass). */
export interface Run {
  agentVersion: string;
  bootId: string;
  runId: string;
}

export interface ReporterOptions {
  loop: NodeLoop;
  doctor?: { latest: DoctorReport | null };
  /** Its part in groups in mode `vrrp`; the same object until something changes. */
  groups?: { latest: readonly GroupReport[] | null };
  health?: Pick<HealthChecks, "takeNews" | "ids" | "report">;
  link: Pick<ControllerLink, "report">;
  run: Run;
  fleetId: string;
  /** The controller has a report that was made after everything up to this generation was carried out. */
  onDelivered?(generation: number): void;
  log: Log;
  /** Least time between two reports, and most, in milliseconds. */
  gapMs?: number;
  heartbeatMs?: number;
}

/** A table of this size is sent with every change; a larger one every few seconds. */
const smallTable = 300;
const largeTableMs = 5_000;

/**
 * Tells the controller what was really reached: everything at first and when asked, then only what changed. A report that could not be
 * delivered loses nothing; the next one carries it.
 */
export class Reporter {
  readonly #options: ReporterOptions;
  readonly #gapMs: number;
  readonly #heartbeatMs: number;
  readonly #backoff = new Backoff(500, 30_000);
  readonly #undelivered = new Set<string>();
  readonly #undeliveredHealth = new Set<string>();
  #events: AgentEvent[] = [];
  #full = true;
  #sentFacts: unknown = null;
  #sentDoctor: unknown = null;
  #sentGroups: unknown = null;
  #sentReached: unknown = null;
  #sentTable = -1;
  #sentAt = Number.NEGATIVE_INFINITY;
  #isAsked = false;
  #tableAt = Number.NEGATIVE_INFINITY;
  #number = 0;
  #sending: Promise<void> | null = null;
  #due = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: ReporterOptions) {
    this.#options = options;
    this.#gapMs = options.gapMs ?? 100;
    this.#heartbeatMs = options.heartbeatMs ?? 20_000;
  }

  /** Something may have changed: if so, a report goes out now, or as soon as the least gap allows. */
  changed(): void {
    this.#arm(this.#nextWait());
  }

  /** A report goes out whether or not anything changed. */
  now(): void {
    this.#isAsked = true;
    this.changed();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#sending;
  }

  #arm(wait: number): void {
    if (this.#stopped || this.#sending) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#sending = this.#send().finally(() => {
        this.#sending = null;
        this.#arm(this.#nextWait());
      });
    }, wait);
  }

  #nextWait(): number {
    this.#gather();
    const now = performance.now();
    const gap = Math.max(0, this.#due - now);
    const hasNews =
      this.#full ||
      this.#isAsked ||
      this.#undelivered.size > 0 ||
      this.#undeliveredHealth.size > 0 ||
      this.#events.length > 0 ||
      this.#sentReached !== this.#options.loop.reached ||
      this.#sentFacts !== this.#options.loop.facts ||
      this.#sentDoctor !== this.#doctor ||
      this.#sentGroups !== this.#groups ||
      this.#isTableDue();
    if (hasNews) return gap;
    const rest = this.#sentTable === this.#options.loop.tableVersion ? this.#heartbeatMs : largeTableMs;
    return Math.max(gap, this.#sentAt + rest - now);
  }

  get #doctor(): DoctorReport | null {
    return this.#options.doctor?.latest ?? null;
  }

  get #groups(): readonly GroupReport[] | null {
    return this.#options.groups?.latest ?? null;
  }

  #gather(): void {
    for (const id of this.#options.loop.takeChanged()) this.#undelivered.add(id);
    for (const id of this.#options.health?.takeNews() ?? []) this.#undeliveredHealth.add(id);
    this.#events = [...this.#events, ...this.#options.loop.takeEvents()].slice(-reportLimits.events);
  }

  #isTableDue(): boolean {
    const { loop } = this.#options;
    if (this.#full) return true;
    if (this.#sentTable === loop.tableVersion) return false;
    return loop.desired.size <= smallTable || performance.now() - this.#tableAt >= largeTableMs;
  }

  async #send(): Promise<void> {
    const { loop, link, log } = this.#options;
    // Before the first pass nothing is known: a report would read as if nothing were here.
    if (!loop.facts || (!loop.hold && loop.passes === 0)) return this.#postpone(50);
    this.#gather();
    const facts = loop.facts;
    const doctor = this.#doctor;
    const groups = this.#groups;
    const ids = new Set(this.#undelivered);
    const events = [...this.#events];
    const full = this.#full;
    const reached = loop.reached;
    const carriedOut = loop.carriedOut;
    const tableVersion = loop.tableVersion;
    const withTable = this.#isTableDue();
    const { now: health, later } = this.#healthShare(full);
    const report = this.#compose(ids, health, events, full, withTable);
    this.#undelivered.clear();
    this.#undeliveredHealth.clear();
    for (const id of later) this.#undeliveredHealth.add(id);
    this.#events = [];
    this.#isAsked = false;
    try {
      const answer = await link.report(report);
      this.#backoff.reset();
      if (carriedOut) this.#options.onDelivered?.(carriedOut.generation);
      this.#full = answer.wantFull;
      if (answer.foreign) loop.settleForeign(answer.foreign);
      this.#sentFacts = answer.wantFull ? null : facts;
      this.#sentDoctor = answer.wantFull ? null : doctor;
      this.#sentGroups = answer.wantFull ? null : groups;
      this.#sentReached = reached;
      this.#sentAt = performance.now();
      if (withTable) {
        this.#sentTable = tableVersion;
        this.#tableAt = performance.now();
      }
      this.#due = performance.now() + this.#gapMs;
    } catch (error) {
      // A report that the controller refuses for what it holds must not be what blocks all later ones.
      const isRefused = error instanceof HttpError && (error.status === 400 || error.status === 413);
      for (const id of ids) this.#undelivered.add(id);
      for (const { fragmentId } of health) this.#undeliveredHealth.add(fragmentId);
      if (!isRefused) this.#events = [...events, ...this.#events].slice(-reportLimits.events);
      this.#full ||= full || isRefused;
      log.warn("The report could not be delivered", { reason: reasonOf(error) });
      this.#postpone(this.#backoff.next());
    }
  }

  #postpone(wait: number): void {
    this.#due = performance.now() + wait;
  }

  /** Whose health this report tells, and whose the next ones: a report holds so many real servers and no more. */
  #healthShare(full: boolean): { now: HealthReport[]; later: string[] } {
    const { health, loop } = this.#options;
    const now: HealthReport[] = [];
    const later: string[] = [];
    if (!health) return { now, later };
    // A few services bring their latest latencies along with every report.
    const isSmall = loop.desired.size <= smallTable;
    let realServers = 0;
    for (const id of full || isSmall ? health.ids() : this.#undeliveredHealth) {
      if (realServers >= reportLimits.healthRealServers) {
        later.push(id);
        continue;
      }
      const reports = health.report([id]);
      for (const report of reports) realServers += report.realServers.length;
      now.push(...reports);
    }
    return { now, later };
  }

  #compose(ids: Set<string>, health: HealthReport[], events: AgentEvent[], full: boolean, withTable: boolean): AgentReport {
    const { loop, run, fleetId } = this.#options;
    const position = loop.reached;
    const concerned = full ? [...loop.states.keys()] : [...ids];
    return {
      protocol: agentProtocol,
      ...run,
      fleetId,
      epoch: position?.epoch ?? 0,
      generation: position?.fleetId === fleetId ? position.generation : 0,
      pass: ++this.#number,
      at: new Date().toISOString(),
      ...(this.#sentFacts === loop.facts ? {} : { facts: loop.facts! }),
      full,
      fragments: concerned.flatMap((id) => loop.states.get(id) ?? []),
      gone: full ? [] : concerned.filter((id) => !loop.states.has(id)),
      ...(withTable ? { table: tableOf(loop) } : {}),
      ...(this.#options.health ? { health } : {}),
      ...(this.#doctor && (full || this.#sentDoctor !== this.#doctor) ? { doctor: this.#doctor } : {}),
      ...(this.#groups && (full || this.#sentGroups !== this.#groups) ? { groups: [...this.#groups] } : {}),
      events,
    };
  }
}
