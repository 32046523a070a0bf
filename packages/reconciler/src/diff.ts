import { type Resource, serviceKeyOf } from "@trigon/model";
import type { Action, Found } from "./kernel.ts";
import { type Claim, isSettingKind } from "./ledger.ts";
import { meets } from "./meets.ts";
import { buildRank, removeRank } from "./rank.ts";

/** A setting goes back to what was found, if it still is what we set. */
export interface Restore {
  op: "restore";
  from: Resource;
  /** What we had set before `from`, in case `from` was never reached. */
  previous: Resource | null;
  found: Found;
}
export type Removal = Extract<Action, { op: "delete" }> | Restore;
export type Step = Action | Restore;

/** The key a step is about. */
export function keyOf(step: Step): string {
  return step.op === "create" || step.op === "update" ? step.to.key : step.from.key;
}

/** What stands under a key of ours but is not ours and not what we want. */
export interface ForeignConflict {
  key: string;
  wanted: Resource;
  observed: Resource | null;
}

export interface DiffInput {
  /** The keys to look at. */
  keys: Iterable<string>;
  desired: (key: string) => Resource | undefined;
  observed: ReadonlyMap<string, Resource>;
  /** What the journal says about a key of ours, or undefined for a foreign one. */
  claim: (key: string) => Pick<Claim, "resource" | "previous" | "found"> | undefined;
}

export interface Difference {
  /** In order: what is added or changed (a device that changes its ends is deleted here first). */
  build: Action[];
  /** In order, after `build`: what goes. */
  remove: Removal[];
  conflicts: ForeignConflict[];
  /** Claims with nothing left to do for: not wanted, and not there (or never ours to put back). */
  released: string[];
}

/** Steps from what is to what shall be, for these keys only. What is not ours is a conflict to show, never something to overwrite or delete. */
export function diff({ keys, desired, observed, claim }: DiffInput): Difference {
  const build: Building[][] = []; // by rank
  const replaced: Extract<Action, { op: "delete" }>[] = [];
  const remove: Removal[] = [];
  const conflicts: ForeignConflict[] = [];
  const released: string[] = [];
  const looked: ReadonlySet<string> = keys instanceof Set ? keys : new Set(keys);

  // A device cannot change its ends; the new one takes address, state and sysctls afresh.
  const remade = new Set<string>();
  const unmade = new Set<string>();
  const strange = new Set<string>();
  looked.forEach((key) => {
    if (!key.startsWith("link ")) return;
    const want = desired(key);
    const have = observed.get(key);
    if (have?.kind !== "link") return;
    if (!claim(key)) {
      if (want && !meets(have, want)) strange.add(have.name);
    } else if (!want) unmade.add(have.name);
    else if (!meets(have, want)) remade.add(have.name);
  });

  const hasDevices = remade.size + unmade.size + strange.size > 0;

  looked.forEach((key) => {
    const want = desired(key);
    const there = observed.get(key);
    const isDestination = key.startsWith("ipvsDestination ");
    const ours = isDestination && want ? undefined : claim(key);
    const subject = want ?? there ?? ours?.resource;
    if (!subject) return;
    const device = hasDevices ? deviceOf(subject) : undefined;
    const have = device !== undefined && remade.has(device) && subject.kind !== "link" ? undefined : there;
    const service = isDestination ? (subject.kind === "ipvsDestination" ? subject.service : serviceKeyOf(key)) : undefined;
    if (want) {
      if (have && meets(have, want)) return;
      if (device !== undefined && strange.has(device)) {
        // Somebody else's device of our name: nothing is set on it either.
        conflicts.push({ key, wanted: want, observed: have ?? null });
      } else if (isSettingKind(want.kind)) {
        if (have) put(build, { op: "update", from: have, to: want });
        else if (!(want.kind === "linkState" && want.ifPresent)) put(build, { op: "create", to: want });
      } else if (service !== undefined && observed.has(service) && !claim(service)) {
        // IPVS is owned by whole service: nothing is put into somebody else's.
        conflicts.push({ key, wanted: want, observed: have ?? null });
      } else if (!have) {
        put(build, { op: "create", to: want });
      } else if (ours === undefined && service === undefined) {
        conflicts.push({ key, wanted: want, observed: have });
      } else if (want.kind === "link") {
        replaced.push({ op: "delete", from: have });
        put(build, { op: "create", to: want });
      } else {
        put(build, { op: "update", from: have, to: want });
      }
      return;
    }
    if (service !== undefined && claim(service)) {
      // Goes by itself, unless its service goes or it is gone already.
      if (have && desired(service)) remove.push({ op: "delete", from: have });
    } else if (ours === undefined) {
    } else if (!have || (device !== undefined && unmade.has(device) && subject.kind !== "link")) {
      released.push(key);
    } else if (!isSettingKind(subject.kind)) {
      remove.push({ op: "delete", from: have });
    } else if (ours.found === null || ours.resource.kind === "module") {
      released.push(key);
    } else {
      remove.push({ op: "restore", from: ours.resource, previous: ours.previous, found: ours.found });
    }
  });

  // Of equal rank, the last claimed goes first: a forwarding switch is put back after the settings made under it.
  remove.reverse();
  return {
    build: replaced.length > 0 ? [...replaced, ...inOrder(build)] : inOrder(build),
    remove: remove.toSorted((a, b) => removeRank(a.from) - removeRank(b.from)),
    conflicts,
    released,
  };
}

type Building = Extract<Action, { to: Resource }>;

function put(build: Building[][], action: Building): void {
  const rank = buildRank(action.to);
  const bucket = build[rank];
  if (bucket) bucket.push(action);
  else build[rank] = [action];
}

/** By rank, stable; rules of a chain come in the chain's order, so that a list of steps reads as what it does. */
function inOrder(build: readonly Building[][]): Action[] {
  const order = ({ to }: { to: Resource }) => (to.kind === "filterRule" ? to.order : 0);
  return build.flatMap((bucket) =>
    bucket[0]?.to.kind === "filterRule" ? bucket.toSorted((a, b) => order(a) - order(b)) : bucket,
  );
}

/** The device whose going takes this resource with it. */
function deviceOf(resource: Resource | undefined): string | undefined {
  switch (resource?.kind) {
    case "link":
    case "linkState":
      return resource.name;
    case "address":
      return resource.interface;
    case "sysctl":
      return /^net\/ipv[46]\/conf\/([^/]+)\//.exec(resource.path)?.[1];
    default:
      return undefined;
  }
}
