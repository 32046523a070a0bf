import { DomainError, type GroupFinding, type GroupMoveView, type GroupReport } from "@trigon/model";
import type { Call } from "../actor.ts";
import type { Draft } from "../draft.ts";
import type { FleetState } from "../fleet-state.ts";
import { groupView, moveOf } from "../group-view.ts";
import { newId } from "../new-id.ts";
import { audit, controllerCall } from "../record.ts";
import type { ServiceContext } from "../service-context.ts";

type Row = Awaited<ReturnType<ServiceContext["db"]["prisma"]["groupMove"]["findMany"]>>[number];

/** How long a member has to take the VIPs before the wish is withdrawn. */
const moveDeadlineMs = 20_000;

export interface GroupMoves {
  list(groupId: string): Promise<GroupMoveView[]>;
  /** Asks for a takeover; the same wish again while it is under way answers that one. */
  start(call: Call, groupId: string, kind: "move" | "drill", toNodeId: string | null): Promise<GroupMoveView>;
}

/** Takeovers that somebody asks for: members are told by their plans, and say by their reports what became of it. */
export function groupMoves(context: ServiceContext): GroupMoves {
  const { db, store, sources } = context;
  return {
    async list(groupId) {
      const state = await store.refresh();
      state.group(groupId);
      const where = { directorGroupId: groupId };
      const rows = await db.prisma.groupMove.findMany({ where, orderBy: { startedAt: "desc" }, take: 50 });
      return rows.map((row) => viewOf(state, row));
    },

    async start(call, groupId, kind, toNodeId) {
      await store.refresh();
      let row: Row | undefined;
      await store.write(
        call,
        async (draft) => {
          const group = draft.state.group(groupId);
          const underWay = await draft.tx.groupMove.findFirst({ where: { directorGroupId: groupId, endedAt: null } });
          if (underWay) {
            const isSame = underWay.kind === kind && (toNodeId === null || underWay.toNodeId === toNodeId);
            if (!isSame) throw new DomainError("group.moving", "The VIPs are being moved already; wait for the end.");
            row = underWay;
            return;
          }
          const { members } = groupView({ ...sources, state: draft.state }, group);
          const { toNodeId: to, refusal } = moveOf(group, members, toNodeId);
          if (to === null) throw refusedMove(refusal!, "/toNodeId");
          const from = members.find(({ isActive }) => isActive)!.nodeId;
          const id = newId("groupMove");
          prefer(draft, groupId, to);
          row = await draft.tx.groupMove.create({
            data: {
              id,
              directorGroupId: groupId,
              kind,
              fromNodeId: from,
              toNodeId: to,
              startedAt: draft.now,
              startedBy: call.actor.name,
              sequence: draft.sequence,
              deadline: new Date(draft.now.getTime() + moveDeadlineMs),
            },
          });
          draft.audit(kind === "drill" ? "directorGroup.drillAsked" : "directorGroup.moveAsked", groupId, {
            move: id,
            name: group.name,
            from,
            to,
          });
        },
        { isOptional: true },
      );
      return viewOf(store.state, row!);
    },
  };
}

/** The error that a refusal of a move is. */
export function refusedMove({ code, message, meta }: GroupFinding, pointer: string): DomainError {
  const errorCode = code === "group.notPaired" ? code : "group.notReady";
  return new DomainError(errorCode, message, [{ pointer, code, detail: message, ...(meta ? { meta } : {}) }]);
}

/** Has the group's plan say who shall hold the VIPs; null withdraws the wish. */
function prefer(draft: Draft, groupId: string, nodeId: string | null): void {
  const preferredSequence = nodeId === null ? null : draft.sequence;
  draft.putGroup({ ...draft.state.group(groupId), preferredNodeId: nodeId, preferredSequence });
}

/**
 * Lets moves that are under way go on by what members have said since: done, back again for a drill, or failed at the deadline. Any replica may;
 * the row leaves its state once.
 */
export async function advanceMoves(context: ServiceContext): Promise<void> {
  const { db, now } = context;
  for (const row of await db.prisma.groupMove.findMany({ where: { endedAt: null } })) {
    const isBack = row.state === "returning";
    const [from, to] = isBack ? [row.toNodeId, row.fromNodeId] : [row.fromNodeId, row.toNodeId];
    const measured = takeover(context, row, from, to);
    if (measured) {
      const gap = isBack ? { backGapMs: measured.gapMs } : { gapMs: measured.gapMs };
      if (row.kind === "drill" && !isBack) await comeBack(context, row, gap);
      else await finish(context, row, { ...gap, state: "done", reason: measured.gapMs === null ? "gap.unknown" : "" });
    } else if (row.deadline.getTime() <= now()) {
      await finish(context, row, { state: "failed", reason: isBack ? "back.timeout" : "move.timeout" });
    }
  }
}

/** A takeover as both members tell it; undefined while the new holder has not said so. */
function takeover(
  { live, store }: ServiceContext,
  row: Row,
  fromNodeId: string,
  toNodeId: string,
): { gapMs: number | null } | undefined {
  const [from, to] = [live.report(fromNodeId), live.report(toNodeId)];
  const said = to?.groups.get(row.directorGroupId);
  const asked = row.state === "returning" ? (row.backSequence ?? row.sequence) : row.sequence;
  if (!to || said?.role !== "master" || to.generation < asked || !store.state.groups.has(row.directorGroupId)) return undefined;
  const former = from?.groups.get(row.directorGroupId);
  // What it said before it let go is no answer: it will say more.
  if (former?.role === "master" && live.isConnected(fromNodeId)) return undefined;
  const ended = former && lastEnd(former);
  if (!from || ended === undefined) return { gapMs: null };
  return { gapMs: Math.max(0, Date.parse(said.since) + to.offsetMs - (ended + from.offsetMs)) };
}

/** When a member was master last, in milliseconds of its own clock. */
function lastEnd({ transitions }: GroupReport): number | undefined {
  for (let at = transitions.length - 1; at > 0; at--) {
    if (transitions[at]!.role !== "master" && transitions[at - 1]!.role === "master") return Date.parse(transitions[at]!.at);
  }
  return undefined;
}

async function comeBack({ store }: ServiceContext, row: Row, gap: { gapMs?: number | null }): Promise<void> {
  await store.write(
    controllerCall,
    async (draft) => {
      const deadline = new Date(draft.now.getTime() + moveDeadlineMs);
      const data = { ...gap, state: "returning", backSequence: draft.sequence, deadline };
      const { count } = await draft.tx.groupMove.updateMany({ where: { id: row.id, state: "moving" }, data });
      if (count > 0) prefer(draft, row.directorGroupId, row.fromNodeId);
    },
    { isOptional: true },
  );
}

type Outcome = { state: "done" | "failed"; reason: string; gapMs?: number | null; backGapMs?: number | null };

async function finish({ store, db, now }: ServiceContext, row: Row, outcome: Outcome): Promise<void> {
  const where = { id: row.id, state: row.state, endedAt: null };
  const event = outcome.state === "done" ? "directorGroup.moveDone" : "directorGroup.moveFailed";
  const detail = { move: row.id, kind: row.kind, ...outcome };
  if (outcome.state === "done") {
    await db.prisma.$transaction(async (tx) => {
      const { count } = await tx.groupMove.updateMany({ where, data: { ...outcome, endedAt: new Date(now()) } });
      if (count > 0) await audit(tx, controllerCall, event, row.directorGroupId, detail);
    });
    return;
  }
  // A wish that nobody carried out in time shall not be carried out later.
  await store.write(
    controllerCall,
    async (draft) => {
      const { count } = await draft.tx.groupMove.updateMany({ where, data: { ...outcome, endedAt: draft.now } });
      if (count === 0) return;
      prefer(draft, row.directorGroupId, null);
      draft.audit(event, row.directorGroupId, detail);
    },
    { isOptional: true },
  );
}

function viewOf(state: FleetState, row: Row): GroupMoveView {
  const nodeOf = (nodeId: string) => ({ nodeId, name: state.nodes.get(nodeId)?.name ?? nodeId });
  return {
    id: row.id,
    directorGroupId: row.directorGroupId,
    kind: row.kind as GroupMoveView["kind"],
    from: nodeOf(row.fromNodeId),
    to: nodeOf(row.toNodeId),
    startedAt: row.startedAt.toISOString(),
    startedBy: row.startedBy,
    endedAt: row.endedAt?.toISOString() ?? null,
    state: row.state as GroupMoveView["state"],
    reason: row.reason,
    gapMs: row.gapMs,
    backGapMs: row.backGapMs,
  };
}
