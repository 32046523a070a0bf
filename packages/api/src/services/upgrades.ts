import { AgentUpgrade, DomainError, type NodeUpgradeView } from "@trigon/model";
import type { StoredNode } from "../fleet-rows.ts";
import type { FleetState } from "../fleet-state.ts";
import { groupView, holderOf } from "../group-view.ts";
import { newId } from "../new-id.ts";
import { newsText } from "../news.ts";
import { audit, controllerCall } from "../record.ts";
import type { ServiceContext } from "../service-context.ts";
import type { Services } from "../services.ts";
import { nodeView } from "../views.ts";
import { groupMoves, refusedMove } from "./group-moves.ts";

type Row = Awaited<ReturnType<ServiceContext["db"]["prisma"]["nodeUpgrade"]["findMany"]>>[number];

/** How long each step may take: the VIPs to go to the peers, the installer to end, the node to hold its plan again. */
const stepMs = { moving: 60_000, installing: 600_000, settling: 120_000 } as const;
type Step = keyof typeof stepMs;

/** Nodes' programs, brought to this controller's version one by one: VIPs go to a peer first, and connections with them. */
export function nodeUpgrades(context: ServiceContext): Services["nodes"]["upgrades"] {
  const { db, store, live, sources, asks, now } = context;
  const moves = groupMoves(context);
  return {
    async list(nodeId) {
      (await store.refresh()).node(nodeId);
      const rows = await db.prisma.nodeUpgrade.findMany({ where: { nodeId }, orderBy: { startedAt: "desc" }, take: 20 });
      return { data: rows.map(viewOf) };
    },

    async start(call, nodeId, { moveVips }) {
      const state = await store.refresh();
      const node = state.node(nodeId);
      const held = moveVips ? groupsHeldBy(context, state, nodeId).filter((group) => group.mode === "vrrp") : [];
      const { row, groupIds } = await db.prisma.$transaction(async (tx) => {
        await tx.$executeRaw`LOCK TABLE "nodeUpgrade" IN SHARE ROW EXCLUSIVE MODE`;
        const underWay = await tx.nodeUpgrade.findMany({ where: { endedAt: null } });
        const own = underWay.find((one) => one.nodeId === nodeId);
        if (own) return { row: own, groupIds: [] };
        if (node.state !== "active")
          throw new DomainError("node.revoked", `${node.name} may not talk: nothing can be asked of it.`);
        if (!live.isConnected(nodeId)) throw asks.notConnected(node);
        refuseSecond(state, node, underWay);
        const groupIds: string[] = [];
        for (const group of held) {
          const { members, status } = groupView(sources, group);
          // Alone it keeps them: what the kernel holds goes on by itself.
          if (members.length < 2) continue;
          if (status.move.refusal) throw refusedMove(status.move.refusal, "/moveVips");
          if (await tx.groupMove.findFirst({ where: { directorGroupId: group.id, endedAt: null } }))
            throw new DomainError("group.moving", `The VIPs of "${group.name}" are being moved already; wait for the end.`);
          groupIds.push(group.id);
        }
        const created = await tx.nodeUpgrade.create({
          data: {
            id: newId("nodeUpgrade"),
            nodeId,
            startedAt: new Date(now()),
            startedBy: call.actor.name,
            state: "moving",
            groupIds,
            fromVersion: node.agentVersion,
            deadline: new Date(now() + stepMs.moving),
          },
        });
        const detail = { name: node.name, upgrade: created.id, from: node.agentVersion, moves: groupIds };
        await audit(tx, call, "node.upgradeAsked", nodeId, detail);
        return { row: created, groupIds };
      });
      // A controller that dies in between leaves an upgrade that ends at its deadline with nothing changed.
      for (const groupId of groupIds) await moves.start(call, groupId, "move", null);
      await db.tell(newsText({ kind: "node", id: nodeId }));
      return viewOf(row);
    },
  };
}

const groupsHeldBy = ({ live }: ServiceContext, state: FleetState, nodeId: string) =>
  state.liveGroups().filter((group) => holderOf({ state, live }, group.id) === nodeId);

/** Members of one group are upgraded one after the other: somebody must hold the VIPs. */
function refuseSecond(state: FleetState, node: StoredNode, underWay: readonly { nodeId: string }[]): void {
  for (const group of state.liveGroups()) {
    const memberIds = state.members(group.id).map(({ id }) => id);
    const other = memberIds.includes(node.id) && underWay.find(({ nodeId }) => memberIds.includes(nodeId));
    if (!other) continue;
    const peer = state.node(other.nodeId).name;
    const detail = `${peer} is being upgraded, and directs the same group: one after the other.`;
    throw new DomainError("node.busy", detail, [
      { pointer: "/id", code: "upgrade.peer", detail, meta: { node: peer, group: group.name } },
    ]);
  }
}

/** Lets upgrades that are under way go on. Any replica may: each step is taken once, and the node begins an upgrade once however often it is asked. */
export async function advanceUpgrades(context: ServiceContext, asking: Asking): Promise<void> {
  const { db, live, store, now } = context;
  for (const row of await db.prisma.nodeUpgrade.findMany({ where: { endedAt: null } })) {
    const node = store.state.nodes.get(row.nodeId);
    if (node?.state !== "active") await finish(context, row, "failed", "node.gone");
    else if (row.state === "moving") await waitForMoves(context, row);
    else if (row.state === "settling" && isSettled(context, node)) await finish(context, row, "done", "");
    else if (row.deadline.getTime() <= now()) await finish(context, row, "failed", `${row.state}.timeout`);
    else if (row.state === "installing" && live.isConnected(node.id)) askOnce(context, row, node, asking);
  }
}

async function waitForMoves(context: ServiceContext, row: Row): Promise<void> {
  const { db, store, now } = context;
  const stillHeld = groupsHeldBy(context, store.state, row.nodeId).filter(({ id }) => row.groupIds.includes(id));
  if (stillHeld.length === 0) return step(context, row, "installing");
  const where = { directorGroupId: { in: row.groupIds }, startedAt: { gte: row.startedAt } };
  const moves = await db.prisma.groupMove.findMany({ where });
  const failed = moves.find(({ state }) => state === "failed");
  if (failed) await finish(context, row, "failed", "moving.failed", `${stillHeld[0]!.name}: ${failed.reason}`);
  else if (row.deadline.getTime() <= now()) await finish(context, row, "failed", "moving.timeout", stillHeld[0]!.name);
}

interface Asking {
  /** Upgrades of which this replica waits for an answer. */
  busy: Set<string>;
  log: (line: string) => void;
}

/** In the background: a node that restarts answers late, and nothing else waits for it. */
function askOnce(context: ServiceContext, row: Row, node: StoredNode, { busy, log }: Asking): void {
  if (busy.has(row.id)) return;
  busy.add(row.id);
  askInstaller(context, row, node)
    .catch((error: Error) => log(`the upgrade of ${node.name} waits: ${error.message}`))
    .finally(() => busy.delete(row.id));
}

async function askInstaller(context: ServiceContext, row: Row, node: StoredNode): Promise<void> {
  let said: AgentUpgrade;
  try {
    said = AgentUpgrade.parse(await context.asks.ask(node, { what: "upgrade", id: row.id }));
  } catch (error) {
    // No answer in time is nothing: its agent starts anew just now.
    const refusal = error instanceof DomainError ? error.fields.find(({ code }) => code === "agent.problem") : undefined;
    if (refusal) await finish(context, row, "failed", "agent.refused", refusal.detail);
    return;
  }
  if (said.state === "done") await step(context, row, "settling");
  else if (said.state === "failed") await finish(context, row, "failed", "installer.failed", said.output);
}

/** It speaks, holds its plan, and is ready to hold VIPs where it is one of several. */
function isSettled({ sources }: ServiceContext, node: StoredNode): boolean {
  const { isConnected, generation, sync } = nodeView(sources, node);
  if (!isConnected || (generation.applied ?? -1) < generation.wanted || sync.state === "applying" || sync.state === "unknown")
    return false;
  return sources.state
    .liveGroups()
    .filter((group) => group.joined.includes(node.id) && group.joined.length > 1)
    .every((group) => sources.live.report(node.id)?.groups.get(group.id)?.isReady === true);
}

async function step({ db, now }: ServiceContext, { id, nodeId, state }: Row, to: Step): Promise<void> {
  const data = { state: to, deadline: new Date(now() + stepMs[to]) };
  const { count } = await db.prisma.nodeUpgrade.updateMany({ where: { id, state, endedAt: null }, data });
  if (count > 0) await db.tell(newsText({ kind: "node", id: nodeId }));
}

async function finish(
  { db, store, now }: ServiceContext,
  { id, nodeId, state, fromVersion }: Row,
  outcome: "done" | "failed",
  reason: string,
  message = "",
): Promise<void> {
  const node = store.state.nodes.get(nodeId);
  const to = node?.agentVersion ?? null;
  const data = { state: outcome, reason, message, toVersion: to, endedAt: new Date(now()) };
  await db.prisma.$transaction(async (tx) => {
    const { count } = await tx.nodeUpgrade.updateMany({ where: { id, state, endedAt: null }, data });
    if (count === 0) return;
    const detail = { name: node?.name ?? nodeId, upgrade: id, from: fromVersion, to, reason, message };
    await audit(tx, controllerCall, outcome === "done" ? "node.upgraded" : "node.upgradeFailed", nodeId, detail);
  });
  await db.tell(newsText({ kind: "node", id: nodeId }));
}

function viewOf(row: Row): NodeUpgradeView {
  return {
    id: row.id,
    nodeId: row.nodeId,
    startedAt: row.startedAt.toISOString(),
    startedBy: row.startedBy,
    endedAt: row.endedAt?.toISOString() ?? null,
    state: row.state as NodeUpgradeView["state"],
    reason: row.reason,
    message: row.message,
    fromVersion: row.fromVersion,
    toVersion: row.toVersion,
    movedGroupIds: row.groupIds,
  };
}
