import { type DoctorFinding, DomainError, summarise } from "@trigon/model";
import { judgeClock } from "@trigon/planner";
import type { Draft } from "../draft.ts";
import type { StoredGroup, StoredNode } from "../fleet-rows.ts";
import { checkRevision } from "../revision.ts";
import type { ServiceContext } from "../service-context.ts";
import type { Services } from "../services.ts";
import { sortedPage } from "../sorted-page.ts";
import { nodeParts, nodeView } from "../views.ts";
import { matches } from "./text-filter.ts";

/** The enrolled machines. */
export function nodes({ db, store, live, sources }: ServiceContext): Omit<Services["nodes"], "upgrades"> {
  async function edit(
    call: Parameters<Services["nodes"]["rename"]>[0],
    id: string,
    revision: Parameters<Services["nodes"]["rename"]>[2],
    work: (draft: Draft, node: StoredNode) => Promise<void>,
  ) {
    await store.write(
      call,
      async (draft) => {
        const node = draft.state.node(id);
        checkRevision(node.revision, revision);
        await work(draft, node);
      },
      { isOptional: true },
    );
    return nodeView(sources, store.state.node(id));
  }

  /** Findings but for foreign services that somebody chose to ignore. */
  async function shown(nodeId: string, findings: readonly DoctorFinding[]): Promise<DoctorFinding[]> {
    if (!findings.some(({ check }) => check === "foreignService")) return [...findings];
    const ignored = await db.prisma.foreignDecision.findMany({ where: { nodeId, decision: "ignore" }, select: { key: true } });
    const keys = new Set(ignored.map(({ key }) => key));
    const rows = live.report(nodeId)?.table?.rows ?? [];
    const texts = new Set(rows.flatMap(({ key, observed }) => (keys.has(key) ? [observed] : [])));
    return findings.filter(({ check, subject }) => check !== "foreignService" || !texts.has(subject));
  }

  return {
    async list(input) {
      const state = await store.refresh();
      const found = [...state.nodes.values()].filter((node) => {
        const addresses = node.facts?.interfaces.flatMap((leg) => leg.addresses.map(({ address }) => address)) ?? [];
        return matches(input.query, node.id, node.name, node.role, node.state, ...addresses);
      });
      return sortedPage(
        found,
        input,
        ({ name }) => name,
        (node) => nodeView(sources, node),
      );
    },

    async get(id) {
      const node = (await store.refresh()).node(id);
      const report = live.report(id);
      return {
        ...nodeView(sources, node),
        facts: node.facts,
        table: report?.table ?? null,
        events: [...(report?.events ?? [])].reverse(),
        doctor: report?.doctor
          ? {
              ...report.doctor,
              findings: [...(await shown(id, report.doctor.findings)), judgeClock(report.skewMs)].slice(0, 1000),
            }
          : null,
        parts: nodeParts(sources, node).map(({ fragmentId, title, part }) => ({ fragmentId, title, ...summarise([part]) })),
      };
    },

    rename: (call, id, revision, name) => edit(call, id, revision, async (draft, node) => renameNode(draft, node, name)),

    revoke: (call, id, revision) =>
      edit(call, id, revision, async (draft, node) => {
        if (node.state === "revoked") return;
        draft.putNode({ ...node, state: "revoked", revision: node.revision + 1 });
        const change = { action: "updated", objectKind: "node", objectId: id, objectName: node.name } as const;
        draft.change({ ...change, before: { state: node.state }, after: { state: "revoked" } });
        draft.audit("node.revoked", id, { name: node.name, serial: node.certSerial });
      }),

    decommission: (call, id, revision) =>
      edit(call, id, revision, async (draft, node) => {
        if (node.state === "decommissioned") return;
        for (const group of draft.state.groupsOf(node)) leaveGroup(draft, node, group);
        draft.putNode({ ...node, state: "decommissioned", revision: node.revision + 1 });
        const change = { action: "updated", objectKind: "node", objectId: id, objectName: node.name } as const;
        draft.change({ ...change, before: { state: node.state }, after: { state: "decommissioned" } });
        draft.audit("node.decommissioned", id, { name: node.name });
      }),
  };
}

/** Takes a director that retires out of a group. Throws `resource.inUse` when it holds VIPs that nobody else would take. */
function leaveGroup(draft: Draft, node: StoredNode, group: StoredGroup): void {
  const { id } = node;
  // Where members agree by themselves, the others take over when this one is emptied.
  const heir = group.mode === "vrrp" ? (group.joined.find((other) => other !== id) ?? null) : null;
  if (group.activeNodeId === id && heir === null) {
    const service = draft.state.liveServices().find(({ spec }) => spec.directorGroupId === group.id);
    if (service) {
      const detail = `${node.name} holds the VIPs of "${group.name}" (service "${service.spec.name}"): make another member active first.`;
      throw new DomainError("resource.inUse", detail);
    }
  }
  const members = group.vrrp.members.filter(({ nodeId }) => nodeId !== id);
  if (group.activeNodeId !== id && members.length === group.vrrp.members.length) return;
  const activeNodeId = group.activeNodeId === id ? heir : group.activeNodeId;
  draft.putGroup({ ...group, activeNodeId, vrrp: { ...group.vrrp, members }, revision: group.revision + 1 });
}

/** Gives a node another name in a draft. Throws `input.invalid` when another has it. */
export function renameNode(draft: Draft, node: StoredNode, name: string): void {
  const { id } = node;
  if (node.name === name) return;
  if ([...draft.state.nodes.values()].some((other) => other.id !== id && other.name === name && other.state === "active")) {
    throw new DomainError("input.invalid", `Another node is already called "${name}".`, [
      { pointer: "/name", code: "name.taken", detail: `Another node is already called "${name}".` },
    ]);
  }
  draft.putNode({ ...node, name, revision: node.revision + 1 });
  const change = { action: "updated", objectKind: "node", objectId: id, objectName: name } as const;
  draft.change({ ...change, before: { name: node.name }, after: { name } });
  draft.audit("node.renamed", id, { from: node.name, to: name });
}
