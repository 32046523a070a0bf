import { agentProtocol, briefFragment, type Fragment, fragmentId, type PlanEnvelope } from "@trigon/model";
import { fragmentIdsOf, planFragments, planGroup, planVip, servingMembers } from "@trigon/planner";
import type { FleetState } from "./fleet-state.ts";

/** A service, a VIP or a group, as far as plans go: the thing whose sequence is the generation of its fragments. */
type Subject = { kind: "service" | "group"; id: string } | { kind: "vip"; address: string };
const nameOf = (subject: Subject) => (subject.kind === "vip" ? subject.address : subject.id);

/** The plan of one service or VIP, by node. */
export type SubjectPlan = Map<string, Fragment[]>;

/** Plans a service from the state. */
export function planService(state: FleetState, id: string): SubjectPlan {
  const service = state.services.get(id);
  const input = service && state.planInput(service);
  return input ? planFragments(input) : new Map();
}

/** Plans a VIP from the state. */
export function planAddress(state: FleetState, address: string): SubjectPlan {
  const vip = state.vips.get(address);
  const group = vip && state.groups.get(vip.directorGroupId);
  if (!vip || vip.deletedAt || !group) return new Map();
  const planned = planVip({ vip: address, generation: vip.sequence, group: state.fleetGroup(group), fleet: state.index });
  return new Map([...planned].map(([nodeId, fragment]) => [nodeId, [fragment]]));
}

/** Plans a group's own fragments from the state. */
export function planDirectorGroup(state: FleetState, id: string): SubjectPlan {
  const group = state.groups.get(id);
  if (!group || group.deletedAt || group.joined.length === 0) return new Map();
  const vips = state.groupVips(id);
  const planned = planGroup({ group: state.fleetGroup(group), vips, generation: group.sequence, fleet: state.index });
  return new Map([...planned].map(([nodeId, fragment]) => [nodeId, [fragment]]));
}

/** Whether two plans of a subject say the same to every node; generations do not count. */
export function samePlan(a: SubjectPlan, b: SubjectPlan): boolean {
  return a.size === b.size && [...a].every(([nodeId, fragments]) => sameFragments(fragments, b.get(nodeId)));
}

/** Adds the nodes to which the two plans say something different. */
export function addDifference(a: SubjectPlan, b: SubjectPlan, nodes: Set<string>): void {
  for (const nodeId of new Set([...a.keys(), ...b.keys()])) {
    if (!sameFragments(a.get(nodeId), b.get(nodeId))) nodes.add(nodeId);
  }
}

function sameFragments(a: readonly Fragment[] | undefined, b: readonly Fragment[] | undefined): boolean {
  if (!a || !b) return a === b;
  return a.length === b.length && a.every(({ id, hash }, at) => b[at]?.id === id && b[at]?.hash === hash);
}

/**
 * Every node's fragments, from the state. Only what was touched is planned again. A plan is a function of the rows alone, so two replicas
 * on one database answer the same.
 */
export class PlanStore {
  readonly #plans = new Map<string, SubjectPlan>();
  readonly #nodes = new Map<string, Map<string, Fragment>>();
  /** Every subject at its newest sequence, in the order of touching; older entries of a subject are skipped when read. */
  #log: { sequence: number; subject: Subject }[] = [];
  readonly #newest = new Map<string, number>();
  /** When a node's plan last changed. */
  readonly #changedAt = new Map<string, number>();

  fragments(nodeId: string): ReadonlyMap<string, Fragment> {
    return this.#nodes.get(nodeId) ?? new Map();
  }

  planOf(serviceId: string): SubjectPlan {
    return this.#plans.get(serviceId) ?? new Map();
  }

  /** The generation that a node should have: the one at which its own plan last changed. */
  wanted(nodeId: string): number {
    return this.#changedAt.get(nodeId) ?? 0;
  }

  /** Plans these subjects again. Answers the nodes whose plan is another now. */
  replan(state: FleetState, serviceIds: Iterable<string>, addresses: Iterable<string>, groupIds: Iterable<string>): Set<string> {
    const changed = new Set<string>();
    const touched: { sequence: number; subject: Subject }[] = [];
    for (const id of serviceIds) {
      this.#put(id, planService(state, id), changed);
      touched.push({ sequence: state.services.get(id)?.sequence ?? 0, subject: { kind: "service", id } });
    }
    for (const address of addresses) {
      this.#put(address, planAddress(state, address), changed);
      touched.push({ sequence: state.vips.get(address)?.sequence ?? 0, subject: { kind: "vip", address } });
    }
    for (const id of groupIds) {
      this.#put(id, planDirectorGroup(state, id), changed);
      touched.push({ sequence: state.groups.get(id)?.sequence ?? 0, subject: { kind: "group", id } });
    }
    touched.sort((a, b) => a.sequence - b.sequence);
    for (const { sequence, subject } of touched) this.#newest.set(nameOf(subject), sequence);
    this.#log.push(...touched);
    if (this.#log.length > 2 * this.#newest.size + 1000) this.#log = this.#log.filter((entry) => this.#isNewest(entry));
    for (const nodeId of changed) this.#changedAt.set(nodeId, this.#changeOf(nodeId, touched));
    return changed;
  }

  #changeOf(nodeId: string, touched: readonly { sequence: number }[]): number {
    if (this.#changedAt.has(nodeId)) return touched.at(-1)?.sequence ?? 0;
    let newest = 0;
    for (const { generation } of this.fragments(nodeId).values()) newest = Math.max(newest, generation);
    return newest;
  }

  /** What `nodeId` must hold; the difference from `since` when that is known here, else everything. */
  envelope(state: FleetState, nodeId: string, since: { generation: number; epoch: number } | null, now: number): PlanEnvelope {
    const { id, epoch, sequence, observeOnly, allowMassRemovalUntil, prunedThrough } = state.current;
    const isDifference =
      since !== null && since.epoch === epoch && since.generation >= prunedThrough && since.generation <= sequence;
    const own = this.fragments(nodeId);
    const head = { protocol: agentProtocol, fleetId: id, epoch, generation: sequence, nodeId, observeOnly };
    const isMarked = allowMassRemovalUntil !== null && allowMassRemovalUntil.getTime() > now;
    if (!isDifference) {
      return {
        ...head,
        since: null,
        allowMassRemoval: isMarked,
        fragments: [...own.values()].map(briefFragment),
        tombstones: [],
        ...releasedOf(state, state.services.keys()),
      };
    }
    const fragments: Fragment[] = [];
    const tombstones: string[] = [];
    const touched: string[] = [];
    let isExplained = true;
    for (const subject of this.#touchedAfter(since.generation)) {
      const ids = fragmentIdsOfSubject(subject);
      if (subject.kind === "service") touched.push(subject.id);
      for (const fragmentId of ids) {
        const fragment = own.get(fragmentId);
        if (fragment) fragments.push(fragment);
        else tombstones.push(fragmentId);
      }
      if (subject.kind === "service" && !ids.some((one) => own.has(one))) {
        isExplained &&= isRemovalMeant(state, subject.id, nodeId);
      }
    }
    return {
      ...head,
      since: since.generation,
      allowMassRemoval: isMarked || isExplained,
      fragments: fragments.map(briefFragment),
      tombstones,
      ...releasedOf(state, touched),
    };
  }

  #touchedAfter(sequence: number): Subject[] {
    const subjects: Subject[] = [];
    for (let at = this.#log.length - 1; at >= 0; at--) {
      const entry = this.#log[at]!;
      if (entry.sequence <= sequence) break;
      if (this.#isNewest(entry)) subjects.push(entry.subject);
    }
    return subjects;
  }

  #isNewest({ sequence, subject }: { sequence: number; subject: Subject }): boolean {
    return this.#newest.get(nameOf(subject)) === sequence;
  }

  #put(name: string, plan: SubjectPlan, changed: Set<string>): void {
    const before = this.#plans.get(name) ?? new Map<string, Fragment[]>();
    addDifference(before, plan, changed);
    for (const nodeId of new Set([...before.keys(), ...plan.keys()])) {
      const old = before.get(nodeId);
      const fresh = plan.get(nodeId);
      const own = this.#nodes.get(nodeId) ?? new Map<string, Fragment>();
      for (const { id } of old ?? []) own.delete(id);
      for (const fragment of fresh ?? []) own.set(fragment.id, fragment);
      this.#nodes.set(nodeId, own);
    }
    if (plan.size === 0) this.#plans.delete(name);
    else this.#plans.set(name, plan);
  }
}

/** Fragments of those of these services that were let go of, and of their VIPs. */
function releasedOf(state: FleetState, serviceIds: Iterable<string>): { released?: string[] } {
  const released = [...serviceIds].flatMap((id) => {
    const service = state.services.get(id);
    return service?.releasedAt ? [...fragmentIdsOf(id), fragmentId.directorVip(service.spec.vip)] : [];
  });
  return released.length > 0 ? { released } : {};
}

function fragmentIdsOfSubject(subject: Subject): string[] {
  if (subject.kind === "vip") return [fragmentId.directorVip(subject.address)];
  return subject.kind === "group" ? [fragmentId.directorGroup(subject.id)] : fragmentIdsOf(subject.id);
}

/** Whether somebody asked for a node to lose a service: it was deleted or switched off, the node is no part of it any more, or retires. */
function isRemovalMeant(state: FleetState, serviceId: string, nodeId: string): boolean {
  const service = state.services.get(serviceId);
  const node = state.nodes.get(nodeId);
  if (!service || !node || service.deletedAt || !service.spec.enabled || node.state === "decommissioned") return true;
  if (node.role === "director") {
    const group = state.groups.get(service.spec.directorGroupId);
    return !group || !servingMembers(state.fleetGroup(group)).includes(nodeId);
  }
  return !service.spec.realServers.some(({ nodeId: pinned, rip }) => (pinned ?? state.index.realServerAt(rip)?.id) === nodeId);
}
