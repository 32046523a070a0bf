import type { Database } from "@trigon/db";
import { gateChanges, groupStep, isPending } from "@trigon/planner";
import type { Call } from "./actor.ts";
import { Draft, isInGate, overdue, type ReportOf } from "./draft.ts";
import { type FleetRows, readFleet } from "./fleet-rows.ts";
import { FleetState } from "./fleet-state.ts";
import { PlanStore } from "./plan-store.ts";

export interface FleetStoreOptions {
  db: Database;
  now: () => number;
  report: ReportOf;
  isConnected: (nodeId: string) => boolean;
  /** Newer rows were taken in, by whichever replica they were written. */
  onAdvance: (news: Advance) => void;
}

/** What a step forward brought. */
export interface Advance {
  sequence: number;
  serviceIds: string[];
  nodeIds: string[];
  /** Nodes whose plan is another now. */
  replanned: Set<string>;
}

/** Nothing was to be done: the transaction is given up, and no sequence is used. */
class NothingToDo extends Error {}

/**
 * The projection: the whole configuration and every node's plan in memory, brought forward by what is newer in the database. Reads first
 * catch up, so that whoever wrote, here or elsewhere, finds what was written.
 */
export class FleetStore {
  readonly #options: FleetStoreOptions;
  readonly state = new FleetState();
  readonly plans = new PlanStore();
  #reading: Promise<unknown> = Promise.resolve();
  #writing: Promise<unknown> = Promise.resolve();
  #nextRead: Promise<FleetState> | undefined;
  #pending = new Set<string>();

  constructor(options: FleetStoreOptions) {
    this.#options = options;
  }

  /** The state, as new as the database was when this was called. Callers that come together share one read. */
  refresh(): Promise<FleetState> {
    if (!this.#nextRead) {
      const next = this.#alone(async () => {
        this.#nextRead = undefined;
        this.#take(await readFleet(this.#options.db.prisma, this.state.sequence));
        return this.state;
      });
      this.#nextRead = next;
      next.catch(() => {
        if (this.#nextRead === next) this.#nextRead = undefined;
      });
    }
    return this.#nextRead;
  }

  /**
   * A configuration write: one transaction, one sequence. `work` changes the draft and throws a DomainError when it may not be; with
   * `isOptional` a write that would change nothing is given up and answers undefined. `rehearse` looks at what was written, which is then
   * rolled back.
   */
  async write<T>(
    call: Call,
    work: (draft: Draft) => Promise<T>,
    options: { evenObserving?: boolean; isOptional?: boolean; rehearse?: (draft: Draft) => void } = {},
  ): Promise<T | undefined> {
    const { db, now, report, isConnected } = this.#options;
    // One at a time in this process: a queue on the fleet's lock would hold every connection of the pool.
    const turn = this.#writing.then(() =>
      db.write(
        async (tx, fleet) => {
          if (this.state.sequence !== fleet.sequence - 1) {
            await this.#alone(async () => {
              const rows = await readFleet(tx, this.state.sequence);
              this.#take({ ...rows, fleet: { ...rows.fleet, sequence: fleet.sequence - 1 } });
            });
          }
          const draft = new Draft({ base: this.state, tx, fleet, report, isConnected, now: now(), call });
          const value = await work(draft);
          const isAny = draft.settle();
          if (!isAny && options.isOptional) throw new NothingToDo();
          await draft.save();
          if (options.rehearse) {
            options.rehearse(draft);
            throw new NothingToDo();
          }
          return value;
        },
        { evenObserving: options.evenObserving },
      ),
    );
    this.#writing = turn.catch(() => undefined);
    try {
      const value = await turn;
      await this.refresh();
      return value;
    } catch (error) {
      if (error instanceof NothingToDo) return undefined;
      throw error;
    }
  }

  /** Services with a gate that waits for somebody's report. */
  pending(nodeId?: string): string[] {
    if (nodeId === undefined) return [...this.#pending];
    return [...this.#pending].filter((id) => this.state.services.get(id)?.gates.some((gate) => isInGate(gate, nodeId)));
  }

  /** Those of `ids` whose gates would go on with what nodes have said by now. */
  movable(ids: readonly string[]): string[] {
    const { report, now } = this.#options;
    return ids.filter((id) => {
      const service = this.state.services.get(id);
      const input = service && this.state.planInput(service);
      if (!input) return false;
      const isOverdue = overdue(service, now());
      return gateChanges({ ...input, report, sequence: this.state.sequence + 1, isOverdue }).length > 0;
    });
  }

  /** Whether members of a group may join or leave VRRP by what they have said by now. */
  canStep(groupId: string): boolean {
    const group = this.state.fleetGroup(this.state.group(groupId));
    if (group.vrrp === null) return false;
    const { report } = this.#options;
    const input = { group, fleet: this.state.index, report, sequence: this.state.sequence + 1 };
    return groupStep({ ...input, vips: this.state.groupVips(groupId) }) !== null;
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#reading.then(work);
    this.#reading = turn.catch(() => undefined);
    return turn;
  }

  #take(rows: FleetRows): void {
    const before = this.state.fleet;
    this.state.apply(rows);
    if (before?.sequence === rows.fleet.sequence && rows.services.length === 0) return;
    const serviceIds = rows.services.map(({ id }) => id);
    for (const { id, gates } of rows.services) {
      if (gates.some(isPending)) this.#pending.add(id);
      else this.#pending.delete(id);
    }
    const replanned = this.plans.replan(
      this.state,
      serviceIds,
      rows.vips.map(({ address }) => address),
      rows.groups.map(({ id }) => id),
    );
    if (before?.epoch !== rows.fleet.epoch || before.observeOnly !== rows.fleet.observeOnly) {
      for (const id of this.state.nodes.keys()) replanned.add(id);
    }
    const nodeIds = rows.nodes.map(({ id }) => id);
    this.#options.onAdvance({ sequence: this.state.sequence, serviceIds, nodeIds, replanned });
  }
}
