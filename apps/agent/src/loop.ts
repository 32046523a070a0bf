import { setTimeout as sleep } from "node:timers/promises";
import {
  type AddressResource,
  type AgentEvent,
  type Facts,
  Fragment,
  type FragmentState,
  fragmentId,
  type PlanEnvelope,
  type PlanGuard,
  parseFragment,
  type RawFragment,
  type Resource,
  resourceKey,
} from "@trigon/model";
import { ResolveError, resolveFragment, textOf } from "@trigon/planner";
import {
  Desired,
  type JournalEntry,
  type Kernel,
  type KernelEvent,
  type Ledger,
  Outcomes,
  type PassResult,
  runPass,
} from "@trigon/reconciler";
import { judgePlan, type Verdict } from "./admission.ts";
import type { LoopDrains } from "./drain/drains.ts";
import { type ForeignWishes, isSettled, takeOver } from "./foreign.ts";
import type { LoopGuard } from "./guard/reachability.ts";
import type { LoopHealth } from "./health/checks.ts";
import { type Log, reasonOf } from "./log.ts";
import { keysToLetGo } from "./release.ts";
import type { LoopSlowStarts } from "./slow-start/slow-starts.ts";
import type { JournalFile } from "./state/journal-file.ts";
import type { PlanCache, PlanPosition, PlanStep } from "./state/plan-cache.ts";
import { type Policy, policyRefusal } from "./state/policy.ts";
import { guessedCostMs, type SweepTimes, slicesOf, sweepRounds } from "./sweep.ts";

/** All in milliseconds, but for rounds and shares. */
export interface LoopTimes extends SweepTimes {
  /** The share of one core that reading settings and modules between the slices of a large table may take; in a small one they are read at every tick. */
  pollShare: number;
  /** They are read at least so often. */
  pollMostMs: number;
  /** The share of the time that goes into reading rules where nobody says when they change: it starts a program each time. */
  rulesShare: number;
  /** The same where the table is small. */
  rulesQuickShare: number;
  /** They are read at least so often, however long a busy machine takes. */
  rulesMostMs: number;
  /** How often everything is read, to find what is foreign; stretched on nodes where that is slow, so that it takes at most `auditShare` of a core. */
  auditMs: number;
  auditShare: number;
  /** It is read at least so often where the processor time alone allows it, however long a busy machine takes. */
  auditMostMs: number;
  /** How long kernel events are gathered. */
  settleMs: number;
  /** The same for packet filter rules. */
  rulesSettleMs: number;
  retryFirstMs: number;
  retryMostMs: number;
  /** How often an address that somebody else holds is probed again. */
  heldElsewhereMs: number;
}
export const loopTimes: LoopTimes = {
  sweepTickMs: 750,
  sweepRounds: 2,
  sweepQuickKeys: 1_500,
  sweepQuickShare: 0.4,
  sweepShare: 0.008,
  sweepWholeKeys: 8_000,
  sweepMostMs: 300_000,
  pollShare: 0.002,
  pollMostMs: 10_000,
  rulesShare: 0.005,
  rulesQuickShare: 0.04,
  rulesMostMs: 60_000,
  auditMs: 30_000,
  auditShare: 0.003,
  auditMostMs: 60_000,
  settleMs: 50,
  rulesSettleMs: 500,
  retryFirstMs: 1_000,
  retryMostMs: 60_000,
  heldElsewhereMs: 3_000,
};

/** Why the kernel is left exactly as it is. */
export interface Hold {
  reason: "policy.unreadable" | "cache.unreadable";
  message: string;
}

export type Acceptance = Verdict | { verdict: "held"; hold: Hold };

export interface LoopOptions {
  kernel: Kernel;
  /** Null: unreadable. `replaceCache` then begins a new one. */
  cache: PlanCache | null;
  replaceCache(): PlanCache;
  journal: JournalFile;
  ledger: Ledger;
  /** Null: unreadable. */
  policy: Policy | null;
  /** What enrollment said this node is; null on a node that takes plans by hand only. */
  identity: { fleetId: string; nodeId: string } | null;
  log: Log;
  onChange(): void;
  /** Left out: nobody checks, and every real server serves. */
  health?: LoopHealth;
  /** Left out: nobody follows drains, and none is ever over. */
  drains?: LoopDrains;
  /** Left out: real servers that come back have their full weight at once. */
  slowStarts?: LoopSlowStarts;
  /** Left out: nobody is there to be cut off from, and no plan is ever put back. */
  guard?: LoopGuard;
  times?: LoopTimes;
}

interface Work {
  /** Nothing to do but to note that a plan without news for this node was taken in. */
  advance: boolean;
  facts: boolean;
  everything: boolean;
  fragments: Set<string>;
  /** Fragments whose real servers' health changed, and nothing else. */
  health: Set<string>;
  keys: Set<string>;
  /** A slice of the sweep is among the keys, and nothing else asked for them. */
  sweep: boolean;
  /** Settings and modules are the keys, and nothing else. */
  poll: boolean;
  /** Rules are among the keys because it was time to read them. */
  rules: boolean;
  /** What operators said about foreign services. */
  foreign: ForeignWishes | null;
  /** Keys that were let go of. */
  released: Set<string>;
  /** Links that pass packets again, and since when they did not: VIPs on them are announced anew. */
  back: Map<string, number>;
}
const noWork = (): Work => ({
  advance: false,
  facts: false,
  everything: false,
  fragments: new Set(),
  health: new Set(),
  keys: new Set(),
  sweep: false,
  poll: false,
  rules: false,
  foreign: null,
  released: new Set(),
  back: new Map(),
});
const isIdle = (work: Work) =>
  !work.foreign &&
  !work.advance &&
  !work.facts &&
  !work.everything &&
  work.back.size === 0 &&
  work.fragments.size === 0 &&
  work.health.size === 0 &&
  work.keys.size === 0;

/** The one setting that goes with real servers' states: a drain that honours persistence has it off while it lasts. */
const templateSetting = "sysctl net/ipv4/vs/expire_quiescent_template";
const mostEvents = 200;
const isRule = (key: string) => key.startsWith("filterRule ");
/** Settings are read at each tick, and modules with them: without its module nothing of a slice could be put right. */
const isPolled = (key: string) => key.startsWith("sysctl ") || key.startsWith("module ");

const foreignAddresses = (foreign: readonly Resource[]): Set<string> =>
  new Set(foreign.flatMap((resource) => (resource.kind === "ipvsService" ? resource.address : [])));
const symmetricDifference = (a: ReadonlySet<string>, b: ReadonlySet<string>): string[] => [
  ...[...a].filter((one) => !b.has(one)),
  ...[...b].filter((one) => !a.has(one)),
];

const isSamePosition = (a: PlanPosition, b: PlanPosition) =>
  a.fleetId === b.fleetId && a.epoch === b.epoch && a.generation === b.generation && a.nodeId === b.nodeId;

/** Whether a plan brings what its step keeps of it and no more: then the one's text says the other. */
const isWholly = (step: PlanStep, plan: PlanEnvelope) =>
  step.fragments.length === plan.fragments.length && step.tombstones.join() === plan.tombstones.join();

const onOneLine = (json: readonly Buffer[] | undefined) => (json?.some((piece) => piece.includes("\n")) ? undefined : json);

/**
 * Keeps this node's kernel as its plan says. One pass at a time: a change looks at its own keys only, a rolling sweep at all the rest. It
 * needs no controller; what is wanted comes in through `accept`, what was reached is read from the getters after `onChange`.
 */
export class NodeLoop {
  readonly #kernel: Kernel;
  readonly #journal: JournalFile;
  readonly #ledger: Ledger;
  readonly #replaceCache: () => PlanCache;
  readonly #identity: LoopOptions["identity"];
  readonly #health: LoopHealth | undefined;
  readonly #drains: LoopDrains | undefined;
  readonly #slowStarts: LoopSlowStarts | undefined;
  readonly #guard: LoopGuard | undefined;
  readonly #log: Log;
  readonly #onChange: () => void;
  readonly #times: LoopTimes;
  readonly #desired = new Desired();
  readonly #outcomes = new Outcomes();
  readonly #parsed = new Map<string, Fragment>();
  readonly #states = new Map<string, FragmentState>();
  /** Fragments this node does not carry out as they now are, and why. What they were before stays. */
  readonly #blocked = new Map<string, FragmentState>();
  readonly #changed = new Set<string>();
  readonly #retries = new Map<string, { failures: number; at: number }>();
  #cache: PlanCache | null;
  #policy: Policy | null;
  #hold: Hold | null = null;
  #reached: PlanPosition | null = null;
  #carriedOut: PlanPosition | null = null;
  #facts: Facts | null = null;
  #factsText = "";
  #foreign: Resource[] = [];
  #events: AgentEvent[] = [];
  #tableVersion = 0;
  #passes = 0;
  /** Something of an earlier plan could not be removed yet. */
  #leftOver = false;
  #work = noWork();
  #running: Promise<void> | null = null;
  readonly #stop = new AbortController();
  #kernelTrouble: string | null = null;
  #watch: { close(): void } | null = null;
  #ticker: NodeJS.Timeout | undefined;
  #settling: NodeJS.Timeout | undefined;
  #rulesSettling: NodeJS.Timeout | undefined;
  #slices: string[][] = [];
  /** Between two slices, and when the next is due. */
  #sliceMs = 0;
  #nextSlice = 0;
  /** Of the sweep under way: its slices, and the CPU milliseconds that those looked at took. */
  #rounds = 1;
  #sweepCpuMs = 0;
  #sweepCostMs: number | null = null;
  #polled: string[] = [];
  /** Links with VIPs that packets do not pass, and since when (wall clock). */
  readonly #downSince = new Map<string, number>();
  #nextAudit = 0;
  /** From one look at everything to the next. */
  #auditEveryMs = 0;
  #nextRules = 0;
  #nextPoll = 0;

  constructor(options: LoopOptions) {
    this.#kernel = options.kernel;
    this.#cache = options.cache;
    this.#replaceCache = options.replaceCache;
    this.#journal = options.journal;
    this.#ledger = options.ledger;
    this.#policy = options.policy;
    this.#identity = options.identity;
    this.#health = options.health;
    this.#drains = options.drains;
    this.#slowStarts = options.slowStarts;
    this.#guard = options.guard;
    this.#log = options.log;
    this.#onChange = options.onChange;
    this.#times = options.times ?? loopTimes;
    this.#settleHold();
  }

  get position(): PlanPosition | null {
    return this.#cache?.position ?? null;
  }
  /** The position whose every removal and change a pass has carried out or tried; null before the first pass. */
  get reached(): PlanPosition | null {
    return this.#reached;
  }
  /** The same, but that something of an earlier plan may not be removed yet. */
  get carriedOut(): PlanPosition | null {
    return this.#carriedOut;
  }
  get facts(): Facts | null {
    return this.#facts;
  }
  get hold(): Hold | null {
    return this.#hold;
  }
  get passes(): number {
    return this.#passes;
  }
  get states(): ReadonlyMap<string, FragmentState> {
    return this.#states;
  }
  get fragments(): ReadonlyMap<string, Fragment> {
    return this.#parsed;
  }
  get desired(): Desired {
    return this.#desired;
  }
  /** What the kernel last held under a key that is wanted. */
  get seen(): ReadonlyMap<string, Resource> {
    return this.#outcomes.seen;
  }
  get foreign(): readonly Resource[] {
    return this.#foreign;
  }
  /** Goes up whenever what is wanted or what is there may read differently. */
  get tableVersion(): number {
    return this.#tableVersion;
  }
  /** What was changed from outside without the kernel saying so is seen after at most so long. */
  get sweepBoundMs(): number {
    return this.#isSweptWhole() ? this.#auditEveryMs + this.#times.sweepTickMs : this.#rounds * this.#times.sweepTickMs;
  }

  /** Ids whose state changed or that went since the last call. */
  takeChanged(): Set<string> {
    const changed = new Set(this.#changed);
    this.#changed.clear();
    return changed;
  }

  takeEvents(): AgentEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /** Applies the cached plan, with no controller in sight, and begins to watch. */
  start(): void {
    this.#event("agent.started", null, "The agent started");
    if (this.#hold) this.#event("plan.refused", null, this.#hold.message);
    this.#work.facts = true;
    this.#everythingAgain();
    this.#watch = this.#kernel.watch((event) => this.#onKernelEvent(event));
    this.#ticker = setInterval(() => this.#tick(), this.#times.sweepTickMs);
    this.#wake();
  }

  /** Ends after the pass under way. The data plane stays as it is. */
  async stop(): Promise<void> {
    this.#stop.abort();
    clearInterval(this.#ticker);
    clearTimeout(this.#settling);
    clearTimeout(this.#rulesSettling);
    this.#watch?.close();
    await this.#running;
    this.#cache?.close();
    this.#journal.close();
  }

  /** Resolves when nothing is waiting to be done. */
  async settled(): Promise<void> {
    while (this.#running) await this.#running;
  }

  /** Judges a plan and, when it is accepted, puts it on the disk and begins to carry it out. `json` is what the plan was read from. */
  accept(plan: PlanEnvelope, json?: readonly Buffer[]): Acceptance {
    const refused = this.#refusedByHold(plan);
    if (refused) return refused;
    const verdict = judgePlan(plan, {
      fleetId: this.#identity?.fleetId ?? null,
      nodeId: this.#identity?.nodeId ?? null,
      position: this.position,
      fragments: this.#cache?.fragments ?? new Map(),
      maxRemovalShare: this.#policy!.maxRemovalShare,
      takenBack: this.#guard?.takenBack ?? null,
    });
    if (verdict.verdict === "refuse") this.#event("plan.refused", null, verdict.message);
    if (verdict.verdict === "accept")
      this.#take(verdict.step, plan.guard, isWholly(verdict.step, plan) ? onOneLine(json) : undefined);
    return verdict;
  }

  /** Puts back what stood before the plan that cut this node off; `step` leads there. */
  takeBack(step: PlanStep, message: string): void {
    if (!this.#cache) return;
    this.#cache.goBack(step);
    this.#event("plan.refused", null, message);
    this.#goOn(step);
  }

  /** Gives real servers the weights that their health asks for now: only these services are looked at, and of them only IPVS. */
  healthChanged(fragmentIds: Iterable<string>): void {
    for (const id of fragmentIds) this.#work.health.add(id);
    this.#wake();
  }

  /** Something about health that a person should know. */
  healthEvent(key: string, message: string): void {
    this.#event("health.changed", key, message);
  }

  /** Takes over foreign services that operators gave to Trigon: to keep as they are, or to remove. */
  settleForeign(wishes: ForeignWishes): void {
    if (isSettled(wishes, { ledger: this.#ledger, desired: this.#desired })) return;
    this.#work.foreign = wishes;
    this.#wake();
  }

  /** Somebody else holds a VIP of this director, or does no more. */
  duplicateEvent(vip: string, message: string): void {
    this.#event("vip.heldElsewhere", `dv:${vip}`, message);
  }

  /** Looks at these keys at once: something tells that they are not as planned. */
  lookAgain(keys: Iterable<string>): void {
    for (const key of keys) if (this.#desired.get(key)) this.#work.keys.add(key);
    this.#wake();
  }

  /** This director has another role in a group. */
  groupEvent(groupId: string, message: string): void {
    this.#event("group.roleChanged", fragmentId.directorGroup(groupId), message);
  }

  /** A real server was taken out of a service at the end of its drain. */
  drainEvent(key: string, message: string): void {
    this.#event("drain.over", key, message);
  }

  /** Reads the policy again (SIGHUP). Null: unreadable. */
  replacePolicy(policy: Policy | null): void {
    this.#policy = policy;
    this.#settleHold();
    if (this.#hold) this.#event("plan.refused", null, this.#hold.message);
    this.#everythingAgain();
    this.#wake();
  }

  #settleHold(): void {
    if (!this.#policy)
      this.#hold = { reason: "policy.unreadable", message: "The policy file cannot be read: nothing is changed" };
    else if (!this.#cache)
      this.#hold = { reason: "cache.unreadable", message: "The cached plan cannot be read: the kernel is left as it is" };
    else this.#hold = null;
  }

  /** A lost cache is made good by a whole plan only, and by none that forgot most of what the journal says is there. */
  #refusedByHold(plan: PlanEnvelope): Acceptance | undefined {
    if (!this.#hold) return undefined;
    if (this.#hold.reason === "policy.unreadable") {
      this.#event("plan.refused", null, this.#hold.message);
      return { verdict: "held", hold: this.#hold };
    }
    if (plan.since !== null) return { verdict: "gap" };
    const isFragmentOfService = ({ kind }: { kind: string }) => kind === "director.service" || kind === "realServer.serve";
    const planned = plan.fragments.filter(isFragmentOfService).length;
    const owned = [...this.#ledger.keys()].filter((key) => key.startsWith("ipvsService ") || key.includes(" account:")).length;
    if (owned > 3 && owned - planned > owned * this.#policy!.maxRemovalShare && !plan.allowMassRemoval) {
      const message = `The cached plan is lost, and the new one has ${planned} services where the journal knows ${owned}`;
      this.#event("plan.refused", null, message);
      return { verdict: "refuse", reason: "plan.massRemoval", message };
    }
    const identity = this.#identity;
    if (plan.observeOnly || (identity && (plan.fleetId !== identity.fleetId || plan.nodeId !== identity.nodeId)))
      return undefined;
    this.#cache = this.#replaceCache();
    this.#settleHold();
    this.#everythingAgain();
    return undefined;
  }

  #take(step: PlanStep, guard: PlanGuard | undefined, json: readonly Buffer[] | undefined): void {
    const position = this.position;
    const changes = step.fragments.length + step.tombstones.length;
    const isNews = changes > 0 || !position || !isSamePosition(step, position);
    if (!isNews) return;
    if (!guard) this.#guard?.end();
    else if (changes > 0 && position?.fleetId === step.fleetId) this.#guard?.begin(guard, position, step, this.#cache!.fragments);
    // In the journal first: after a crash in between, the plan still has them, and nothing is taken away.
    for (const key of this.#letGo(step.released ?? [])) this.#work.released.add(key);
    this.#cache!.accept(step, json);
    this.#goOn(step);
  }

  /** Forgets that what carries packets of these fragments is ours. Answers the keys. */
  #letGo(ids: readonly string[]): string[] {
    const fragments = ids.flatMap((id) => this.#cache?.fragments.get(id) ?? []);
    if (fragments.length === 0) return [];
    const keys = keysToLetGo(fragments, { ledger: this.#ledger, desired: this.#desired });
    this.#disclaim(keys);
    this.#work.everything = true;
    this.#work.facts = true;
    return keys;
  }

  #disclaim(keys: Iterable<string>): void {
    const { bootId } = this.#ledger;
    const entries = [...keys].flatMap((key): JournalEntry[] => (this.#ledger.owns(key) ? [{ op: "release", bootId, key }] : []));
    if (entries.length > 0) this.#journal.append(entries);
    for (const entry of entries) this.#ledger.record(entry);
  }

  #goOn(step: PlanStep): void {
    this.#work.advance = true;
    for (const { id } of step.fragments) this.#work.fragments.add(id);
    for (const id of step.tombstones) this.#work.fragments.add(id);
    this.#wake();
  }

  #everythingAgain(): void {
    this.#work.everything = true;
    for (const id of this.#cache?.fragments.keys() ?? []) this.#work.fragments.add(id);
  }

  #wake(): void {
    if (this.#running || this.#stop.signal.aborted) return;
    this.#running = this.#drain().finally(() => {
      this.#running = null;
      // What came in between the last look at the queue and now.
      if (!isIdle(this.#work)) this.#wake();
    });
  }

  async #drain(): Promise<void> {
    for (let failures = 0; !this.#stop.signal.aborted && !isIdle(this.#work); ) {
      const work = this.#work;
      this.#work = noWork();
      try {
        await this.#pass(work);
        failures = 0;
        this.#kernelTrouble = null;
      } catch (error) {
        const reason = reasonOf(error);
        this.#log.error("A pass could not be carried out", { reason });
        if (this.#kernelTrouble !== reason) this.#event("action.failed", null, reason);
        this.#kernelTrouble = reason;
        this.#putBack(work);
        this.#onChange();
        const wait = Math.min(this.#times.retryMostMs, this.#times.retryFirstMs * 2 ** Math.min(failures++, 10));
        await sleep(wait, undefined, { signal: this.#stop.signal }).catch(() => undefined);
      }
    }
  }

  #putBack(work: Work): void {
    this.#work.advance ||= work.advance;
    this.#work.facts ||= work.facts;
    this.#work.everything ||= work.everything;
    for (const id of work.fragments) this.#work.fragments.add(id);
    for (const id of work.health) this.#work.health.add(id);
    for (const key of work.keys) this.#work.keys.add(key);
    this.#work.rules ||= work.rules;
    this.#work.foreign ??= work.foreign;
    for (const key of work.released) this.#work.released.add(key);
    for (const [name, since] of work.back) this.#work.back.set(name, since);
  }

  async #pass(work: Work): Promise<void> {
    const position = this.position;
    if (work.facts || !this.#facts) await this.#readFacts(work);
    if (this.#hold) return this.#onChange();
    if (work.foreign) await this.#takeOver(work, work.foreign);
    // A pass that was under way when they were let go of may have claimed them again.
    this.#disclaim(work.released);
    const touched = new Set<string>();
    for (const id of work.health) if (!work.fragments.has(id)) this.#resolve(id, work, touched);
    touched.forEach((key) => {
      if (!key.startsWith("ipvs") && key !== templateSetting) touched.delete(key);
    });
    for (const id of work.fragments) this.#resolve(id, work, touched);
    this.#leaveToSweep(touched);
    work.keys.forEach((key) => {
      touched.add(key);
    });
    const reportOn = [...work.fragments].filter((id) => this.#desired.fragment(id));

    const began = performance.now();
    const cpu = process.cpuUsage();
    let foundAt = Date.now();
    const result = await runPass({
      kernel: this.#kernel,
      journal: this.#journal,
      ledger: this.#ledger,
      desired: this.#desired,
      outcomes: this.#outcomes,
      keys: work.everything ? this.#everyKey() : touched,
      fragments: reportOn,
      onDiff: () => {
        foundAt = Date.now();
      },
    });
    this.#passes++;
    this.#carriedOut = position;
    const { user, system } = process.cpuUsage(cpu);
    const cpuMs = (user + system) / 1000;
    if (work.sweep && !work.everything && work.fragments.size === 0 && result.steps.length === 0) this.#sweepCpuMs += cpuMs;
    if (work.poll && !work.everything && this.#desired.size > this.#times.sweepQuickKeys)
      this.#nextPoll = performance.now() + Math.min(this.#times.pollMostMs, cpuMs / this.#times.pollShare);
    if (work.rules) {
      const { rulesShare, rulesQuickShare, rulesMostMs, sweepQuickKeys } = this.#times;
      const share = this.#desired.size <= sweepQuickKeys ? rulesQuickShare : rulesShare;
      this.#nextRules = performance.now() + Math.min(rulesMostMs, (performance.now() - began) / share);
    }
    if (work.everything) {
      const before = foreignAddresses(this.#foreign);
      this.#foreign = result.foreign;
      for (const vip of symmetricDifference(before, foreignAddresses(result.foreign)))
        if (this.#parsed.has(`dv:${vip}`)) this.#work.fragments.add(`dv:${vip}`);
      const isOwnWork = work.fragments.size === 0 && result.steps.length === 0;
      this.#auditEveryMs = this.#auditAfterMs(performance.now() - began, isOwnWork ? cpuMs : null);
      this.#nextAudit = performance.now() + this.#auditEveryMs;
      this.#tableVersion++;
    }
    this.#learn(result, foundAt);
    // A controller takes "reached" as leave to go on elsewhere: what could not be removed is not reached.
    const isLeftOver = result.steps.some(({ step, result: { ok } }) => !ok && (step.op === "delete" || step.op === "restore"));
    if (isLeftOver) this.#nextAudit = Math.min(this.#nextAudit, performance.now() + this.#times.retryFirstMs);
    else if (!this.#leftOver || work.everything) this.#reached = position;
    this.#leftOver = isLeftOver || (this.#leftOver && !work.everything);
    if (work.fragments.size > 0 || result.steps.length > 0) {
      this.#tableVersion++;
      this.#log.info("pass", {
        fragments: work.fragments.size,
        steps: result.steps.length,
        failed: result.steps.filter((step) => !step.result.ok).length,
        ms: Math.round(performance.now() - began),
      });
    }
    for (const [name, since] of work.back) this.#announceOn(name, since);
    this.#onChange();
  }

  /** When to look at everything again after one look took so long; `cpuMs` null: it was busy with other things too. */
  #auditAfterMs(tookMs: number, cpuMs: number | null): number {
    const { auditMs, auditShare, auditMostMs, sweepShare, sweepMostMs } = this.#times;
    const slowness = Math.min(auditMostMs, 100 * tookMs);
    if (!this.#isSweptWhole()) return Math.max(auditMs, slowness, (cpuMs ?? 0) / auditShare);
    const spreadMs = (cpuMs ?? guessedCostMs(this.#desired.size)) / (sweepShare + auditShare);
    return Math.max(auditMs, slowness, Math.min(sweepMostMs, spreadMs));
  }

  #isSweptWhole(): boolean {
    return this.#desired.size >= this.#times.sweepWholeKeys;
  }

  /** Switches and routers may know those VIPs elsewhere, or no more, and the kernel announces no address of a link that comes back. */
  #announceOn(name: string, since: number): void {
    const vips = this.#vipsOn(name).filter(({ key }) => this.#outcomes.verified.has(key));
    const failed =
      ({ address }: AddressResource) =>
      (error: unknown) =>
        this.#log.warn(`${address} could not be announced on ${name}`, { reason: reasonOf(error) });
    for (const vip of vips) this.#kernel.announce(name, vip.address).catch(failed(vip));
    const seconds = ((Date.now() - since) / 1000).toFixed(1);
    const what = `${name} was down or without carrier for ${seconds} s`;
    this.#event("drift.repaired", resourceKey.link(name), `${what}; its VIPs were announced again (${vips.length})`, since);
  }

  /** The VIPs that a director shall hold on a link. */
  #vipsOn(name: string): AddressResource[] {
    return [...this.#desired.fragmentIds()]
      .filter((id) => id.startsWith("dv:"))
      .flatMap((id) => this.#desired.fragment(id)?.resources ?? [])
      .filter((resource): resource is AddressResource => resource.kind === "address" && resource.interface === name);
  }

  #onLink({ name, isRunning }: { name: string; isRunning: boolean }): void {
    const since = this.#downSince.get(name);
    if (isRunning && since !== undefined) {
      this.#downSince.delete(name);
      this.#work.back.set(name, since);
    }
    if (isRunning || since !== undefined) return;
    const vips = this.#vipsOn(name).length;
    if (vips === 0) return;
    this.#downSince.set(name, Date.now());
    this.#event("drift.found", resourceKey.link(name), `${name} is down or without carrier, and holds VIPs (${vips})`);
  }

  /** Reading rules starts a program, and a plan that changes mostly leaves them: those that stand are left to the sweep. */
  #leaveToSweep(keys: Set<string>): void {
    keys.forEach((key) => {
      const wanted = isRule(key) ? this.#desired.get(key) : undefined;
      if (wanted && this.#outcomes.verified.get(key) === wanted) keys.delete(key);
    });
  }

  /**
   * Everything, except that nothing is removed while a fragment is not understood and was not in this run: what is there may be its.
   */
  #everyKey(): ReadonlySet<string> | "all" {
    for (const id of this.#blocked.keys()) if (!this.#desired.fragment(id)) return new Set(this.#desired.keys());
    return "all";
  }

  async #readFacts(work: Work): Promise<void> {
    const facts = await this.#kernel.facts();
    const text = JSON.stringify(facts);
    if (text === this.#factsText) return;
    this.#facts = facts;
    this.#factsText = text;
    for (const id of this.#cache?.fragments.keys() ?? []) work.fragments.add(id);
  }

  async #takeOver(work: Work, wishes: ForeignWishes): Promise<void> {
    const taken = await takeOver(
      { kernel: this.#kernel, journal: this.#journal, ledger: this.#ledger, desired: this.#desired },
      wishes,
    );
    if (taken.length === 0) return;
    // What is ours is no fact about the machine, and what is foreign is another list now.
    work.everything = true;
    this.#work.facts = true;
    for (const key of taken) {
      if (!key.startsWith("ipvsService ")) continue;
      this.#event(
        "foreign.taken",
        key,
        `${key} was ${wishes.remove.includes(key) ? "taken over to be removed" : "adopted as it stands"}`,
      );
    }
  }

  /** A VIP at which a stranger's service stands too is closed to nothing: that service would be cut off. */
  #openIfShared(fragment: Fragment): Fragment {
    if (fragment.kind !== "director.vip" || fragment.ping === undefined) return fragment;
    const isShared = this.#foreign.some((resource) => resource.kind === "ipvsService" && resource.address === fragment.vip);
    const { ping: _ping, ...open } = fragment;
    return isShared ? open : fragment;
  }

  /** Brings `desired` in line with a fragment of the plan, and adds the keys that concerns to `touched`. */
  #resolve(id: string, work: Work, touched: Set<string>): void {
    const raw = this.#cache?.fragments.get(id);
    // What this run never understood is known to the journal only.
    const wasUnknown = this.#blocked.has(id) && !this.#desired.fragment(id);
    if (!raw) {
      this.#parsed.delete(id);
      this.#blocked.delete(id);
      this.#retries.delete(id);
      this.#health?.remove(id);
      this.#drains?.remove(id);
      this.#slowStarts?.remove(id);
      work.everything ||= wasUnknown;
      if (this.#states.delete(id)) this.#changed.add(id);
      this.#desired.remove(id, touched);
      return;
    }
    const known = this.#parsed.get(id);
    const fragment = known?.hash === raw.hash && known.generation === raw.generation ? known : this.#parse(raw);
    if (!fragment) return;
    try {
      const drained =
        fragment.kind === "director.service" ? (this.#drains?.put(fragment) ?? fragment) : this.#openIfShared(fragment);
      const health = drained.kind === "director.service" ? this.#health?.put(drained) : undefined;
      const now = drained.kind === "director.service" ? (this.#slowStarts?.put(drained, health) ?? drained) : drained;
      const resources = resolveFragment(now, this.#facts!, health);
      const refusal = fragment.kind === "director.group" ? null : policyRefusal(this.#policy!, fragment.vip, resources);
      if (refusal) {
        this.#block(raw, "failed", "policy.refused", refusal);
        return;
      }
      this.#parsed.set(id, fragment);
      this.#blocked.delete(id);
      work.everything ||= wasUnknown;
      this.#desired.replace(id, fragment.hash, resources, touched);
    } catch (error) {
      if (!(error instanceof ResolveError)) throw error;
      this.#block(raw, "failed", error.reason, error.message);
    }
  }

  #parse(raw: RawFragment): Fragment | undefined {
    const result = parseFragment(raw);
    if (result.success) return result.data;
    const isKnown = Fragment.options.some((option) => option.shape.kind.value === raw.kind);
    if (!isKnown)
      this.#block(raw, "unsupported", "fragment.unknownKind", `This agent does not know fragments of kind ${raw.kind}`);
    else {
      const [issue] = result.error.issues;
      this.#block(raw, "failed", "fragment.invalid", `${issue?.path.join(".")}: ${issue?.message}`);
    }
    return undefined;
  }

  #block(raw: RawFragment, state: FragmentState["state"], reason: string, message: string): void {
    const blocked: FragmentState = { id: raw.id, hash: raw.hash, state, reason, message };
    this.#blocked.set(raw.id, blocked);
    this.#setState(blocked);
  }

  #setState(state: FragmentState): void {
    const before = this.#states.get(state.id);
    if (before && before.state === state.state && before.hash === state.hash && before.message === state.message) return;
    this.#states.set(state.id, state);
    this.#changed.add(state.id);
    if (state.state === "applied" || (before?.state === state.state && before.reason === state.reason)) return;
    const message = state.message ?? state.reason ?? state.state;
    if (state.reason === "vip.heldElsewhere") this.#event("vip.heldElsewhere", state.id, message);
    else if (state.state === "conflict") this.#event("plan.conflict", state.id, message);
    else if (state.state === "failed" || state.state === "unsupported") this.#event("action.failed", state.id, message);
  }

  #learn(result: PassResult, foundAt: number): void {
    for (const state of result.states) {
      if (this.#blocked.has(state.id)) continue;
      this.#setState(state);
      this.#scheduleRetry(state);
    }
    for (const { key, observed, isRepaired } of result.drift) {
      const what = observed ? `was changed from outside (found: ${textOf(observed)})` : "was removed from outside";
      const took = `${Date.now() - foundAt} ms later`;
      if (isRepaired) this.#event("drift.repaired", key, `${key} ${what}, and was put right ${took}`, foundAt);
      else this.#event("drift.found", key, `${key} ${what}, and could not be put right`, foundAt);
    }
  }

  #scheduleRetry(state: FragmentState): void {
    if (state.state === "applied") {
      this.#retries.delete(state.id);
      return;
    }
    const failures = (this.#retries.get(state.id)?.failures ?? 0) + 1;
    const wait =
      state.reason === "vip.heldElsewhere"
        ? this.#times.heldElsewhereMs
        : Math.min(this.#times.retryMostMs, this.#times.retryFirstMs * 2 ** Math.min(failures - 1, 10));
    this.#retries.set(state.id, { failures, at: performance.now() + wait });
  }

  #event(kind: AgentEvent["kind"], key: string | null, message: string, at = Date.now()): void {
    this.#events.push({ at: new Date(at).toISOString(), kind, key, message });
    if (this.#events.length > mostEvents) this.#events.shift();
    if (kind !== "agent.started")
      this.#log.warn(message, { kind, at: new Date(at).toISOString(), ...(key === null ? {} : { key }) });
  }

  #onKernelEvent({ scope, keys, link }: KernelEvent): void {
    if (scope === "filter") {
      this.#onRulesChanged();
      return;
    }
    if (link) this.#onLink(link);
    this.#work.facts = true;
    const kinds = scope === "link" ? ["link", "linkState", "address"] : scope === "address" ? ["address"] : [];
    const concerned =
      keys.length > 0 ? keys : [...this.#desired.keys()].filter((key) => kinds.some((kind) => key.startsWith(`${kind} `)));
    for (const key of concerned) if (this.#desired.get(key)) this.#work.keys.add(key);
    this.#settling ??= setTimeout(() => {
      this.#settling = undefined;
      this.#wake();
    }, this.#times.settleMs);
  }

  /** Reading rules starts a program, and other managers change theirs often: once in a while is soon enough. */
  #onRulesChanged(): void {
    this.#rulesSettling ??= setTimeout(() => {
      this.#rulesSettling = undefined;
      this.#addRules();
      this.#wake();
    }, this.#times.rulesSettleMs);
  }

  #addRules(): void {
    for (const key of this.#desired.keys()) if (isRule(key)) this.#work.keys.add(key);
  }

  /** The slow beat: retries that are due, one slice of the sweep, settings (the kernel announces none of arp_*) and modules, housekeeping. */
  #tick(): void {
    if (this.#hold || this.#stop.signal.aborted) return;
    const now = performance.now();
    for (const [id, retry] of this.#retries) {
      if (retry.at > now) continue;
      retry.at = Number.POSITIVE_INFINITY;
      this.#work.fragments.add(id);
    }
    if (!this.#running) {
      if (now >= this.#nextAudit) this.#work.everything = true;
      const isDue = now >= this.#nextSlice - this.#times.sweepTickMs / 2; // a timer is not exact
      if (isDue && this.#slices.length === 0) this.#cutSlices(now);
      const slice = isDue ? (this.#slices.pop() ?? []) : [];
      if (isDue) this.#nextSlice += this.#sliceMs;
      const isPoll = slice.length > 0 || now >= this.#nextPoll;
      const isAlone = this.#work.keys.size === 0;
      // What a sweep costs is what its slices do: with the polls between them it would last the longer the longer it lasts.
      this.#work.sweep = isAlone && slice.length > 0;
      this.#work.poll = isAlone && slice.length === 0 && isPoll;
      for (const key of slice) this.#work.keys.add(key);
      if (isPoll) for (const key of this.#polled) this.#work.keys.add(key);
      // An nft back end says when rules change; of a legacy one they must be read.
      if (now >= this.#nextRules && this.#facts?.iptables === "legacy") {
        this.#addRules();
        this.#work.rules = true;
      }
      this.#cache?.compact();
      this.#journal.compact(this.#ledger);
    }
    this.#wake();
  }

  #cutSlices(now: number): void {
    // What the last whole sweep took, unless it was cut short by other work. One that met a busy machine must not make the next ones rare.
    if (this.#sweepCpuMs > 0) {
      const before = Math.max(1, this.#sweepCostMs ?? guessedCostMs(this.#desired.size));
      this.#sweepCostMs = Math.min((before + this.#sweepCpuMs) / 2, 2 * before);
    }
    this.#sweepCpuMs = 0;
    const keys = [...this.#desired.keys()];
    this.#polled = keys.filter(isPolled);
    if (this.#isSweptWhole()) {
      this.#sliceMs = this.#times.auditMs;
      this.#nextSlice = now;
      return;
    }
    const rest = keys.filter((key) => !isPolled(key) && !isRule(key));
    this.#rounds = sweepRounds(rest.length, this.#sweepCostMs ?? guessedCostMs(rest.length), this.#times);
    this.#slices = slicesOf(rest, this.#times.sweepRounds);
    this.#sliceMs = (this.#rounds / Math.max(1, this.#slices.length)) * this.#times.sweepTickMs;
    this.#nextSlice = now;
  }
}
