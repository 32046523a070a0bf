import type { FragmentState } from "@trigon/model";
import type { FleetStore } from "./fleet-store.ts";
import type { Live } from "./live.ts";
import { audit, controllerCall } from "./record.ts";
import type { ServiceContext } from "./service-context.ts";
import { advanceMoves } from "./services/group-moves.ts";
import { settleGuards } from "./services/guards.ts";
import { advanceUpgrades } from "./services/upgrades.ts";

const tickMs = 1_000;
/** A node that is away for so long, after it counts as not connected, is worth telling of: an agent that restarts is not. */
const unreachableMs = 15_000;
const pruneMs = 3_600_000;
/** Deleted services stay this long, so that nodes which were away still get their tombstone. */
const keptDeletedMs = 7 * 86_400_000;
const idempotencyMs = 86_400_000;
/** Outcomes that nobody reported for this long are left as they are. */
const outcomeMs = 86_400_000;

/** What goes on by itself: gates that nodes' reports open, outcomes of changes and their guards, and what has grown too old. */
export class Chores {
  readonly #context: ServiceContext;
  readonly #log: (line: string) => void;
  readonly #reported = new Set<string>();
  readonly #upgradesAsked = new Set<string>();
  #moving: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #prunedAt = 0;
  /** Since when the database, and with it the nodes, could be reached without a break. */
  #watchedSince: number | undefined;
  #closed = false;

  constructor(context: ServiceContext, log: (line: string) => void) {
    this.#context = context;
    this.#log = log;
  }

  start(): void {
    this.#prunedAt = this.#context.now();
    this.#arm();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#moving;
  }

  /** A node reported: gates that wait for it may go on. */
  reported(nodeId: string): void {
    this.#reported.add(nodeId);
    this.#moving ??= this.#moveGates().finally(() => {
      this.#moving = undefined;
      const next = [...this.#reported][0];
      if (next !== undefined && !this.#closed) this.reported(next);
    });
  }

  async #moveGates(): Promise<void> {
    const { store } = this.#context;
    const nodeIds = [...this.#reported];
    this.#reported.clear();
    const waiting = new Set(nodeIds.flatMap((nodeId) => store.pending(nodeId)));
    await this.#move([...waiting], this.#isReleased(store));
  }

  #isReleased(store: FleetStore): boolean {
    return store.state.liveGroups().some((group) => group.releasingNodeId !== null || store.canStep(group.id));
  }

  async #move(waiting: readonly string[], always: boolean): Promise<void> {
    const { store } = this.#context;
    const ids = store.movable(waiting);
    if (ids.length === 0 && !always) return;
    await store
      .write(controllerCall, async (draft) => draft.touch(ids), { isOptional: true, evenObserving: true })
      .catch((error: Error) => this.#log(`gates could not go on: ${error.message}`));
  }

  #arm(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#tick()
        .catch((error: Error) => {
          this.#watchedSince = undefined;
          this.#log(`chores wait: ${error.message}`);
        })
        .finally(() => this.#arm());
    }, tickMs);
  }

  async #tick(): Promise<void> {
    const { store, now } = this.#context;
    await this.#settleOutcomes();
    this.#watchedSince ??= now();
    await settleGuards(this.#context, this.#watchedSince, this.#log);
    await advanceMoves(this.#context);
    await advanceUpgrades(this.#context, { busy: this.#upgradesAsked, log: this.#log });
    // Deadlines pass without anybody's report, and a report may have come while the database was away.
    await this.#move(store.pending(), this.#isReleased(store));
    await this.#tellOfPresence(this.#watchedSince);
    if (now() - this.#prunedAt < pruneMs) return;
    this.#prunedAt = now();
    await this.prune();
  }

  /** Writes down which nodes were not heard of for a while, and which came back: the row lets one replica do it. */
  async #tellOfPresence(watchedSince: number): Promise<void> {
    const { db, store, now } = this.#context;
    // After an outage of ours all nodes have been silent: each gets the time to come back.
    if (now() - watchedSince < unreachableMs) return;
    const at = new Date(now());
    const since = new Date(now() - unreachableMs);
    const isDue = await db.prisma.nodePresence.findFirst({
      where: {
        OR: [
          { unreachableSince: null, connectedUntil: { lt: since }, node: { state: "active" } },
          { unreachableSince: { not: null }, connectedUntil: { gt: at } },
        ],
      },
      select: { nodeId: true },
    });
    if (!isDue) return;
    await db.prisma.$transaction(async (tx) => {
      const lost = await tx.$queryRaw<{ nodeId: string; lastSeenAt: Date }[]>`
        UPDATE "nodePresence" p SET "unreachableSince" = ${at}::timestamp FROM node n
        WHERE n.id = p."nodeId" AND n.state = 'active' AND p."unreachableSince" IS NULL AND p."connectedUntil" < ${since}::timestamp
        RETURNING p."nodeId", p."lastSeenAt"`;
      const back = await tx.$queryRaw<{ nodeId: string }[]>`
        UPDATE "nodePresence" SET "unreachableSince" = NULL
        WHERE "unreachableSince" IS NOT NULL AND "connectedUntil" > ${at}::timestamp RETURNING "nodeId"`;
      const nameOf = (nodeId: string) => store.state.nodes.get(nodeId)?.name ?? nodeId;
      for (const { nodeId, lastSeenAt } of lost) {
        const detail = { name: nameOf(nodeId), lastSeenAt: lastSeenAt.toISOString() };
        await audit(tx, controllerCall, "node.unreachable", nodeId, detail);
      }
      for (const { nodeId } of back) await audit(tx, controllerCall, "node.reachable", nodeId, { name: nameOf(nodeId) });
    });
  }

  /** Writes down what became of changes on the nodes they concern. */
  async #settleOutcomes(): Promise<void> {
    const { db, store, live, now } = this.#context;
    const open = await db.prisma.changeOutcome.findMany({
      where: { state: "applying", change: { at: { gt: new Date(now() - outcomeMs) } } },
      include: { change: { select: { objectKind: true, objectId: true, objectName: true, generation: true } } },
      take: 5000,
    });
    for (const { changeId, nodeId, change } of open) {
      const scope = change.objectKind === "virtualService" ? change.objectId : null;
      const outcome = outcomeOf(store, live, nodeId, scope, change.generation);
      if (!outcome) continue;
      await db.prisma.$transaction(async (tx) => {
        const { count } = await tx.changeOutcome.updateMany({
          where: { changeId, nodeId, state: "applying" },
          data: { ...outcome, at: new Date(now()) },
        });
        if (count === 0 || outcome.state === "inSync") return;
        const node = store.state.nodes.get(nodeId)?.name ?? nodeId;
        await audit(tx, controllerCall, "change.failed", change.objectId, { name: change.objectName, node, ...outcome });
      });
    }
  }

  /** Forgets for good what was deleted long ago. Agents older than that get their whole plan. */
  async prune(): Promise<void> {
    const { db, now } = this.#context;
    await db.prisma.$executeRaw`
      WITH gone AS (
        DELETE FROM "virtualService" s WHERE s."deletedAt" < ${new Date(now() - keptDeletedMs)}::timestamp
          AND NOT EXISTS (SELECT FROM gate g WHERE g."serviceId" = s.id) RETURNING s.sequence)
      UPDATE fleet SET "prunedThrough" = greatest("prunedThrough", (SELECT max(sequence) FROM gone))
      WHERE EXISTS (SELECT FROM gone)`;
    await this.#context.statistics.prune();
    await db.prisma.idempotencyKey.deleteMany({ where: { createdAt: { lt: new Date(now() - idempotencyMs) } } });
  }
}

/** What a node made of a change, or undefined while it has not said. */
function outcomeOf(
  store: FleetStore,
  live: Live,
  nodeId: string,
  serviceId: string | null,
  generation: number,
): { state: string; message: string } | undefined {
  const node = store.state.nodes.get(nodeId);
  const report = live.report(nodeId);
  if (!node || !report || report.epoch !== store.state.current.epoch || report.generation < generation) return undefined;
  const wanted =
    serviceId === null ? [...store.plans.fragments(nodeId).values()] : (store.plans.planOf(serviceId).get(nodeId) ?? []);
  const states = wanted.map(({ id, hash }) => {
    const said = report.fragments.get(id);
    return said?.hash === hash ? said : undefined;
  });
  if (states.some((state) => state === undefined)) return undefined;
  const worst = states.find((state): state is FragmentState => state !== undefined && state.state !== "applied");
  if (!worst) return { state: "inSync", message: "" };
  return { state: worst.state === "unsupported" ? "failed" : worst.state, message: worst.message ?? worst.reason ?? "" };
}
