import { type FragmentState, kindOfKey, type Resource, serviceKeyOf } from "@trigon/model";
import type { Desired } from "./desired.ts";
import { type Difference, diff, type ForeignConflict, keyOf, type Step } from "./diff.ts";
import type { Action, ActionResult, Kernel, KernelFailure } from "./kernel.ts";
import { isSetting, isSettingKind, type Journal, type JournalEntry, type Ledger } from "./ledger.ts";
import { meets, sameResource } from "./meets.ts";
import { type Outcomes, type Problem, sameProblem } from "./outcomes.ts";
import { buildRank } from "./rank.ts";

export interface PassInput {
  kernel: Kernel;
  journal: Journal;
  ledger: Ledger;
  desired: Desired;
  outcomes: Outcomes;
  /** The keys to look at (what `Desired.replace` and `remove` answered), or every key that is wanted or ours. */
  keys: ReadonlySet<string> | "all";
  /** Fragments to report on whether or not anything about them changed: those of this delta. */
  fragments?: Iterable<string>;
  /** Called when it is known what differs, before anything is changed. */
  onDiff?: () => void;
}

/** A key that stood as wanted, and did not any more. */
export interface Drift {
  key: string;
  observed: Resource | null;
  /** Null: something stood inside what is ours that nobody wanted. */
  wanted: Resource | null;
  isRepaired: boolean;
}

export interface StepResult {
  step: Step;
  result: ActionResult;
}

export interface PassResult {
  steps: StepResult[];
  /** Of the fragments asked for, and of every other whose keys changed their standing. */
  states: FragmentState[];
  conflicts: ForeignConflict[];
  drift: Drift[];
  /** Only of a pass over everything: IPVS services and destinations that are not ours. */
  foreign: Resource[];
}

/**
 * One pass: observe → diff → journal the intents → apply → verify by observing again. A failed step fails the fragments that want its key
 * and holds back what depends on it; everything else goes on. Rejects only when the kernel cannot be read or the journal not written.
 */
export async function runPass(input: PassInput): Promise<PassResult> {
  const { journal, ledger, desired, outcomes } = input;
  const { keys, observed, foreign } = input.keys === "all" ? await lookAtAll(input) : await lookAt(input, input.keys);
  const difference = diff({ keys, desired: (key) => desired.get(key), observed, claim: (key) => ledger.get(key) });
  input.onDiff?.();
  // Mostly all stands as it should, and there may be tens of thousands of keys.
  const isDone = difference.build.length + difference.remove.length + difference.released.length === 0;
  const before = isDone ? observed : new Map(observed);

  const fresh = new Set<string>();
  const intents: JournalEntry[] = difference.released.map((key) => release(ledger, key));
  intents.push(...(await claims(input, difference.build, fresh)));
  await record(journal, ledger, intents);

  const results = isDone ? [] : await execute(input, keys, difference);
  const failures = await verify(input, results, observed);
  await record(journal, ledger, afterwards(input, results, failures, observed, fresh));

  const drift = driftOf(input, results, failures, before);
  const affected = note(input, keys, observed, difference.conflicts, failures);
  const states: FragmentState[] = [];
  for (const id of affected) {
    const state = outcomes.stateOf(id, desired);
    if (state) states.push(state);
  }
  return { steps: results, states, conflicts: difference.conflicts, drift, foreign };
}

interface Look {
  keys: ReadonlySet<string>;
  observed: Map<string, Resource>;
  foreign: Resource[];
}

/** A destination is never looked at without its service, which may be somebody else's. */
async function lookAt({ kernel, desired }: PassInput, wanted: ReadonlySet<string>): Promise<Look> {
  const services = new Set<string>(); // those that are looked at for their destinations alone
  let service = ""; // destinations of one service follow one another
  wanted.forEach((key) => {
    if (!key.startsWith("ipvsDestination ")) return;
    const want = desired.get(key);
    const own = want?.kind === "ipvsDestination" ? want.service : serviceKeyOf(key);
    if (own === service) return;
    if (!wanted.has(own)) services.add(own);
    service = own;
  });
  const keys = services.size > 0 ? new Set([...wanted, ...services]) : wanted;
  return { keys, observed: keys.size === 0 ? new Map() : await kernel.observe([...keys]), foreign: [] };
}

async function lookAtAll({ kernel, desired, ledger }: PassInput): Promise<Look> {
  const keys = new Set<string>([...desired.keys(), ...ledger.keys()]);
  const observed = await kernel.observeAll([...keys].filter((key) => ["module", "sysctl"].includes(kindOfKey(key))));
  const foreign: Resource[] = [];
  for (const [key, resource] of observed) {
    if (keys.has(key)) continue;
    if (resource.kind === "ipvsService") foreign.push(resource);
    else if (resource.kind === "ipvsDestination") {
      if (ledger.owns(resource.service)) keys.add(key);
      else foreign.push(resource);
    }
  }
  return { keys, observed, foreign };
}

function release({ bootId }: Ledger, key: string): JournalEntry {
  return { op: "release", bootId, key };
}

async function record(journal: Journal, ledger: Ledger, entries: readonly JournalEntry[]): Promise<void> {
  if (entries.length === 0) return;
  await journal.append(entries);
  for (const entry of entries) ledger.record(entry);
}

/** Intents of keys not claimed yet. A destination belongs to its service and needs no claim of its own. */
async function claims({ kernel, ledger }: PassInput, steps: readonly Action[], fresh: Set<string>): Promise<JournalEntry[]> {
  const actions = steps.filter((step): step is Extract<Action, { to: Resource }> => {
    if (step.op !== "create" && step.op !== "update") return false;
    if (step.to.kind === "ipvsDestination") return false;
    const claim = ledger.get(step.to.key);
    return !claim || (isSettingKind(step.to.kind) && !sameResource(claim.resource, step.to));
  });
  const settings = actions.filter(({ to }) => isSettingKind(to.kind) && !ledger.owns(to.key));
  const found = settings.length > 0 ? await kernel.found(settings) : new Map();
  return actions.map(({ to }) => {
    if (!ledger.owns(to.key)) fresh.add(to.key);
    return { op: "claim", bootId: ledger.bootId, key: to.key, resource: to, found: found.get(to.key) ?? null };
  });
}

const filterRank = buildRank({ kind: "filterRule" } as Resource);
const serviceRank = buildRank({ kind: "ipvsService" } as Resource);
const destinationRank = buildRank({ kind: "ipvsDestination" } as Resource);

/** Stages of building, so that what depends on a failure can be held back. */
function stageOf(action: Action): number {
  if (action.op === "delete") return 0;
  const rank = buildRank(action.to);
  if (rank <= filterRank) return 0;
  if (rank <= serviceRank) return 1;
  return rank <= destinationRank ? 2 : 3;
}

async function execute(input: PassInput, keys: ReadonlySet<string>, difference: Difference): Promise<StepResult[]> {
  const { kernel } = input;
  const results: StepResult[] = [];
  const bad = new Set<string>(difference.conflicts.map(({ key }) => key));
  // Keys that this pass does not look at are as the last pass that did left them.
  const isBad = (key: string) => bad.has(key) || (!keys.has(key) && input.outcomes.problems.get(key)?.failure !== undefined);
  const hold = holding(input.desired, isBad);
  const carryOut = async (actions: readonly Action[]) => {
    const answers = actions.length > 0 ? await kernel.apply(actions) : [];
    actions.forEach((step, index) => {
      const result = tolerate(step, answers[index]!);
      if (!result.ok) bad.add(keyOf(step));
      results.push({ step, result });
    });
  };
  // `build` is in the order of the stages.
  for (let at = 0; at < difference.build.length; ) {
    const stage = stageOf(difference.build[at]!);
    const ready: Action[] = [];
    for (; at < difference.build.length && stageOf(difference.build[at]!) === stage; at++) {
      const step = difference.build[at]!;
      const failure = hold(step);
      if (!failure) ready.push(step);
      else {
        bad.add(keyOf(step));
        results.push({ step, result: { ok: false, failure } });
      }
    }
    await carryOut(ready);
  }
  let deletes: Action[] = [];
  for (const step of difference.remove) {
    if (step.op === "delete") {
      deletes.push(step);
      continue;
    }
    await carryOut(deletes);
    deletes = [];
    const isRestored = await kernel.restore(step.from, step.found);
    if (!isRestored && step.previous) await kernel.restore(step.previous, step.found);
    results.push({ step, result: { ok: true } });
  }
  await carryOut(deletes);
  return results;
}

/** A kernel without an optional setting does without it. */
function tolerate(step: Action, result: ActionResult): ActionResult {
  const isOptional = step.op === "create" && step.to.kind === "sysctl" && step.to.ifPresent === true;
  return !result.ok && result.failure.code === "ENOENT" && isOptional ? { ok: true } : result;
}

/** What must not be done because what it stands on failed: answers the failure to report, or undefined to go on. */
function holding(desired: Desired, isBad: (key: string) => boolean): (step: Action) => KernelFailure | undefined {
  /** Whether some fragment that wants the key has all else that it stands on. */
  const hasFooting = (key: string, rank: number) =>
    desired.owners(key).some((id) =>
      desired.fragment(id)?.resources.every((other) => {
        // Without what closes a VIP it serves all the same, and the fragment says that it failed.
        const isClosing = other.kind === "filterRule" && buildRank(other) > destinationRank;
        return other.key === key || isClosing || buildRank(other) >= rank || !isBad(other.key);
      }),
    );
  let services: Map<string, string[]> | undefined;
  return (step) => {
    if (step.op === "delete") return undefined;
    const { to } = step;
    if (to.kind === "ipvsDestination") {
      return isBad(to.service)
        ? held("dependency.failed", `Real server ${to.address}:${to.port} waits for its service.`)
        : undefined;
    }
    if (to.kind === "linkState" && to.up && !hasFooting(to.key, buildRank(to))) {
      return held("dependency.failed", `${to.name} stays down: what must stand before it does not.`);
    }
    if (to.kind !== "address" || to.purpose === "tunnel") return undefined;
    if (!hasFooting(to.key, buildRank(to))) {
      return held("dependency.failed", `${to.address} is not bound to ${to.interface}: what must stand before it does not.`);
    }
    if (to.purpose === "vipOnDirector") {
      services ??= servicesByVip(desired);
      const own = services.get(to.address) ?? [];
      if (own.length > 0 && own.every(isBad)) {
        return held("vip.servicesDown", `${to.address} is not bound: none of its services stands.`);
      }
    }
    return undefined;
  };
}

function held(code: string, message: string): KernelFailure {
  return { code, message };
}

function servicesByVip(desired: Desired): Map<string, string[]> {
  const byVip = new Map<string, string[]>();
  for (const resource of desired.resources()) {
    if (resource.kind !== "ipvsService") continue;
    const keys = byVip.get(resource.address);
    if (keys) keys.push(resource.key);
    else byVip.set(resource.address, [resource.key]);
  }
  return byVip;
}

/** Looks again at what was done; `observed` becomes what is there now. Answers every failure by key. */
async function verify(
  { kernel, desired }: PassInput,
  results: readonly StepResult[],
  observed: Map<string, Resource>,
): Promise<Map<string, KernelFailure>> {
  const failures = new Map<string, KernelFailure>();
  for (const { step, result } of results) if (!result.ok) failures.set(keyOf(step), result.failure);
  const tried = new Set(results.map(({ step }) => keyOf(step)));
  if (tried.size === 0) return failures;
  const now = await kernel.observe([...tried]);
  for (const key of tried) {
    const have = now.get(key);
    if (have) observed.set(key, have);
    else observed.delete(key);
    const want = desired.get(key);
    if (!want || failures.has(key) || (have ? meets(have, want) : isOptional(want))) continue;
    failures.set(key, { code: "verify.mismatch", message: `${key} was set without an error, but the kernel does not hold it.` });
  }
  return failures;
}

function isOptional(want: Resource): boolean {
  return (want.kind === "sysctl" || want.kind === "linkState") && want.ifPresent === true;
}

/** What the journal must forget: what is gone or put back, and what was never made (a key made by somebody else meanwhile is theirs). */
function afterwards(
  { ledger }: PassInput,
  results: readonly StepResult[],
  failures: ReadonlyMap<string, KernelFailure>,
  observed: ReadonlyMap<string, Resource>,
  fresh: ReadonlySet<string>,
): JournalEntry[] {
  const forgotten = new Set<string>();
  for (const { step } of results) {
    const key = keyOf(step);
    const failure = failures.get(key);
    const isGone = !observed.has(key);
    if (step.op === "restore") forgotten.add(key);
    else if (step.op === "delete") {
      if (isGone && ledger.owns(key)) forgotten.add(key);
    } else {
      forgotten.delete(key);
      if (fresh.has(key) && (isGone || (failure && (failure.code === "EEXIST" || isSetting(key))))) forgotten.add(key);
    }
  }
  return [...forgotten].map((key) => release(ledger, key));
}

function driftOf(
  { outcomes, desired }: PassInput,
  results: readonly StepResult[],
  failures: ReadonlyMap<string, KernelFailure>,
  before: ReadonlyMap<string, Resource>,
): Drift[] {
  const drift: Drift[] = [];
  for (const { step } of results) {
    const key = keyOf(step);
    const wanted = desired.get(key) ?? null;
    const stood = wanted !== null && outcomes.verified.get(key) === wanted;
    const isDestination = step.op === "delete" && step.from.kind === "ipvsDestination";
    const isIntruder = wanted === null && isDestination && !outcomes.seen.has(key) && outcomes.verified.has(serviceKeyOf(key));
    if (stood || isIntruder) drift.push({ key, observed: before.get(key) ?? null, wanted, isRepaired: !failures.has(key) });
  }
  return drift;
}

/** Writes down what this pass found about its keys, and answers the fragments to report on. */
function note(
  { desired, outcomes, fragments }: PassInput,
  keys: ReadonlySet<string>,
  observed: ReadonlyMap<string, Resource>,
  conflicts: readonly ForeignConflict[],
  failures: ReadonlyMap<string, KernelFailure>,
): Set<string> {
  const affected = new Set(fragments ?? []);
  const foreign = new Map(conflicts.map((conflict) => [conflict.key, conflict]));
  for (const key of keys) {
    const want = desired.get(key);
    const have = observed.get(key);
    if (!want) {
      outcomes.problems.delete(key);
      outcomes.verified.delete(key);
      outcomes.seen.delete(key);
      continue;
    }
    const failure = failures.get(key);
    const stranger = foreign.get(key);
    const plan = desired.conflict(key);
    const now: Problem | undefined = failure || stranger || plan ? { failure, foreign: stranger, plan } : undefined;
    if (!sameProblem(outcomes.problems.get(key), now)) for (const id of desired.owners(key)) affected.add(id);
    if (now) outcomes.problems.set(key, now);
    else outcomes.problems.delete(key);
    if (failure || stranger) outcomes.verified.delete(key);
    else outcomes.verified.set(key, want);
    if (have) outcomes.seen.set(key, have);
    else outcomes.seen.delete(key);
  }
  return affected;
}
