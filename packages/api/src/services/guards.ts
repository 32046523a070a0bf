import type { Database, Prisma } from "@trigon/db";
import { DomainError, type GuardReason, type GuardView, type PlanGuard } from "@trigon/model";
import type { Call } from "../actor.ts";
import { silenceMs } from "../live.ts";
import { audit, controllerCall } from "../record.ts";
import type { ServiceContext } from "../service-context.ts";
import { serviceEditor } from "./service-editor.ts";
import { undo } from "./undo.ts";

type GuardRow = NonNullable<Awaited<ReturnType<Database["prisma"]["changeGuard"]["findUnique"]>>>;
type OpenGuard = Prisma.ChangeGuardGetPayload<{ include: { change: true } }>;
type Where = Pick<ServiceContext, "store" | "live">;

/** A guard as the API shows it. */
export function guardView(where: Where, row: GuardRow): GuardView {
  return {
    kind: row.kind as GuardView["kind"],
    seconds: row.seconds,
    deadline: row.deadline.toISOString(),
    state: row.state as GuardView["state"],
    reason: row.reason as GuardReason,
    message: row.message,
    decidedBy: row.decidedBy,
    decidedAt: row.decidedAt?.toISOString() ?? null,
    nodes: row.awaited.map((nodeId) => ({ nodeId, nodeName: nameOf(where, nodeId), isBack: isBack(where, nodeId) })),
  };
}

const nameOf = ({ store }: Where, nodeId: string) => store.state.nodes.get(nodeId)?.name ?? nodeId;

/** Whether a node is connected and has said that it came to the end of its newest plan. One that may not talk is not waited for. */
function isBack({ store, live }: Where, nodeId: string): boolean {
  if (store.state.nodes.get(nodeId)?.state !== "active") return true;
  const report = live.report(nodeId);
  const isNew = report?.epoch === store.state.current.epoch && report.generation >= store.plans.wanted(nodeId);
  return isNew && live.isConnected(nodeId);
}

/** Ends a guard before its deadline. The row decides: whoever comes second finds it decided. Throws `guard.absent` and `guard.over`. */
export async function keep(
  { db, now }: ServiceContext,
  call: Call,
  change: { id: string; objectId: string; objectName: string },
) {
  const at = new Date(now());
  const isKept = await db.prisma.$transaction(async (tx) => {
    const { count } = await tx.changeGuard.updateMany({
      where: { changeId: change.id, state: "pending", deadline: { gt: at } },
      data: { state: "kept", reason: "pressed", decidedBy: call.actor.name, decidedAt: at },
    });
    if (count > 0) await audit(tx, call, "change.kept", change.objectId, { change: change.id, name: change.objectName });
    return count > 0;
  });
  if (isKept) return;
  const guard = await db.prisma.changeGuard.findUnique({ where: { changeId: change.id } });
  if (!guard) throw new DomainError("guard.absent", "This change has no guard: it stays as it is.");
  if (guard.state === "kept") return;
  const what =
    guard.state === "undone" ? "was taken back" : guard.state === "failed" ? "could not be taken back" : "is being taken back";
  throw new DomainError("guard.over", `It is too late to keep this change of ${change.objectName}: it ${what}.`);
}

/**
 * Decides the guards that can be decided now. Any replica may: the row's state, changed in the undo's own transaction, lets one of them do it.
 * `watchedSince` is since when nodes could reach this controller: that it was away is no reason to take back what cut nobody off.
 */
export async function settleGuards(context: ServiceContext, watchedSince: number, log: (line: string) => void): Promise<void> {
  const { db, store, now } = context;
  const open = await db.prisma.changeGuard.findMany({ where: { state: "pending" }, include: { change: true } });
  if (open.length === 0) return;
  await store.refresh();
  for (const guard of open) {
    const decision = decide(context, guard, watchedSince, now());
    if (decision === undefined) continue;
    const done = decision.reason === "returned" ? keepByItself(context, guard) : takeBack(context, guard, decision);
    await done.catch((error: Error) => log(`the guard of ${guard.changeId} waits: ${error.message}`));
  }
}

/** What a node's plan says of the guards that wait for the node: it puts back by itself what cuts it off. */
export async function guardOfPlan({ db }: Pick<ServiceContext, "db">, nodeId: string): Promise<PlanGuard | undefined> {
  const guard = await db.prisma.changeGuard.findFirst({
    where: { kind: "reachability", state: "pending", awaited: { has: nodeId } },
    orderBy: { seconds: "asc" },
    select: { seconds: true },
  });
  return guard ?? undefined;
}

/**
 * A node that stood at `since` put everything up to `generation` back by itself, and is here again: what was guarded of it is taken back for
 * good, also where the node's last word before it was cut off had it kept.
 */
export async function takenBackBy(context: ServiceContext, nodeId: string, since: number, generation: number): Promise<void> {
  const guards = await context.db.prisma.changeGuard.findMany({
    where: {
      kind: "reachability",
      awaited: { has: nodeId },
      change: { generation: { lte: generation } },
      OR: [{ state: "pending" }, { state: "kept", reason: "returned", change: { generation: { gt: since } } }],
    },
    include: { change: true },
  });
  for (const guard of guards) await takeBack(context, guard, { reason: "unreachable", message: nameOf(context, nodeId) });
}

/** How many times its seconds a guard waits for nodes that report, but are not at the end of their plan. */
const slowTimes = 10;

interface Decision {
  reason: GuardReason;
  message: string;
}

/** What is to become of a guard, or undefined while nothing is. */
function decide(context: ServiceContext, guard: OpenGuard, watchedSince: number, now: number): Decision | undefined {
  const deadline = guard.deadline.getTime();
  if (guard.kind === "operator") return now < deadline ? undefined : { reason: "expired", message: "" };
  const away = guard.awaited.filter((nodeId) => !isBack(context, nodeId));
  // A stream that stands is no proof: only a report is. Nodes send one at least every twenty seconds.
  const cutOff = away.filter((nodeId) => now - (context.live.report(nodeId)?.receivedAt ?? 0) >= silenceMs);
  const over = Math.max(deadline, watchedSince + guard.seconds * 1000);
  const isOver = now >= over;
  // While gates are on their way, nodes have not seen all of the change.
  const isAllTold = guard.awaited.length === 0 || !context.store.pending().includes(guard.change.objectId);
  if (cutOff.length > 0)
    return isOver ? { reason: "unreachable", message: cutOff.map((nodeId) => nameOf(context, nodeId)).join(", ") } : undefined;
  // A node that talks to us is at work: it is waited for, but not for ever.
  if (away.length > 0) return now >= over + slowTimes * guard.seconds * 1000 ? { reason: "returned", message: "" } : undefined;
  return isAllTold || isOver ? { reason: "returned", message: "" } : undefined;
}

async function keepByItself({ db, now }: ServiceContext, { changeId }: OpenGuard): Promise<void> {
  await db.prisma.changeGuard.updateMany({
    where: { changeId, state: "pending" },
    data: { state: "kept", reason: "returned", decidedBy: controllerCall.actor.name, decidedAt: new Date(now()) },
  });
}

async function takeBack(context: ServiceContext, guard: OpenGuard, { reason, message }: Decision): Promise<void> {
  const { db, store, now, controllerAddresses } = context;
  const { changeId, kind, change } = guard;
  const call: Call = { ...controllerCall, actor: { ...controllerCall.actor, name: `controller (${kind} guard)` } };
  const decided = { decidedBy: call.actor.name, decidedAt: new Date(now()) };
  const where = { changeId, state: guard.state };
  const detail = { change: changeId, name: change.objectName, guard: kind, reason, message };
  try {
    await store.write(
      call,
      async (draft) => {
        const { count } = await draft.tx.changeGuard.updateMany({
          where,
          data: { ...decided, state: "undone", reason, message },
        });
        if (count === 0) return;
        await undo(draft, change, serviceEditor(controllerAddresses));
        draft.audit("change.guardExpired", change.objectId, detail);
      },
      { isOptional: true },
    );
  } catch (error) {
    const isFinal = error instanceof DomainError && error.code !== "fleet.observeOnly" && error.status < 500;
    if (!isFinal) throw error;
    const data = { ...decided, state: "failed", reason: "conflict", message: error.message };
    await db.prisma.$transaction(async (tx) => {
      const { count } = await tx.changeGuard.updateMany({ where, data });
      if (count > 0) await audit(tx, call, "change.guardFailed", change.objectId, { ...detail, error: error.message });
    });
  }
}
