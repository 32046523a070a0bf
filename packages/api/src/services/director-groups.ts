import { type ChangePreview, type DirectorGroupSpec, DomainError, type FieldError, unusableReason } from "@trigon/model";
import { membersOf, onLinkInterface } from "@trigon/planner";
import type { Draft } from "../draft.ts";
import type { StoredGroup } from "../fleet-rows.ts";
import type { FleetState } from "../fleet-state.ts";
import { groupView } from "../group-view.ts";
import { newId } from "../new-id.ts";
import { previewNodes, totalOf } from "../preview.ts";
import { checkRevision } from "../revision.ts";
import type { ServiceContext } from "../service-context.ts";
import type { Services } from "../services.ts";
import type { GroupWrite } from "../shapes.ts";
import { sortedPage } from "../sorted-page.ts";
import { groupMoves } from "./group-moves.ts";
import { matches } from "./text-filter.ts";

/** Director groups own VIPs; one member holds them. */
export function directorGroups(context: ServiceContext): Services["directorGroups"] {
  const { store, sources } = context;
  const moves = groupMoves(context);
  return {
    async list(input) {
      const state = await store.refresh();
      const found = state.liveGroups().filter(({ id, name }) => matches(input.query, id, name));
      return sortedPage(
        found,
        input,
        ({ name }) => name,
        (group) => groupView(sources, group),
      );
    },

    async get(id) {
      const state = await store.refresh();
      return groupView(sources, state.group(id));
    },

    async create(call, spec) {
      const id = newId("directorGroup");
      await store.write(call, workOf({ action: "create", spec }, id));
      return groupView(sources, store.state.group(id));
    },

    async replace(call, id, revision, spec) {
      await store.write(call, workOf({ action: "replace", id, revision, spec }, id), { isOptional: true });
      return groupView(sources, store.state.group(id));
    },

    async preview(call, input) {
      const id = input.action === "create" ? newId("directorGroup") : input.id;
      const state = await store.refresh();
      await context.counters.look();
      const specIn = (group: StoredGroup | undefined) => (group && !group.deletedAt ? specOf(group) : null);
      const before = specIn(state.groups.get(id));
      let preview: ChangePreview | undefined;
      await store.write(call, workOf(input, id), {
        isOptional: true,
        rehearse: (draft) => {
          const ids = [...draft.touched.serviceIds];
          const counters = context.counters.views(sources.state, ids, ({ nodeId }) => nodeId ?? undefined);
          const nodes = previewNodes(draft, sources, counters);
          const after = specIn(draft.state.groups.get(id));
          preview = { dryRun: true, changesAnything: true, before, after, nodes, connections: totalOf(nodes), lint: [] };
        },
      });
      return preview ?? { dryRun: true, changesAnything: false, before, after: before, nodes: [], connections: null, lint: [] };
    },

    async moves(id) {
      return { data: await moves.list(id) };
    },
    move: (call, id, toNodeId) => moves.start(call, id, "move", toNodeId),
    drill: (call, id, toNodeId) => moves.start(call, id, "drill", toNodeId),

    async delete(call, id, revision) {
      await store.write(
        call,
        async (draft) => {
          const group = draft.state.groups.get(id);
          if (!group) throw new DomainError("resource.notFound", `There is no director group ${id}.`);
          if (group.deletedAt) return;
          checkRevision(group.revision, revision);
          deleteGroup(draft, id);
        },
        { isOptional: true },
      );
    },
  };
}

/** What a write does to a draft; `id` is that of a new group, too. */
function workOf(input: GroupWrite, id: string): (draft: Draft) => Promise<void> {
  return async (draft) => {
    const { spec } = input;
    if (input.action === "replace") {
      const group = draft.state.group(id);
      checkRevision(group.revision, input.revision);
      putGroupSpec(draft, group, spec);
      return;
    }
    check(draft.state, spec, null);
    draft.putGroup(withRouterId(draft.state, { id, ...spec, ...freshProgress, sequence: 0, revision: 1, deletedAt: null }));
    draft.change({ action: "created", objectKind: "directorGroup", objectId: id, objectName: spec.name, after: spec });
    draft.audit("directorGroup.created", id, { name: spec.name });
  };
}

/** Replaces a group's spec in a draft, or leaves everything alone when it is the same. */
export function putGroupSpec(draft: Draft, group: StoredGroup, spec: DirectorGroupSpec): void {
  const { id } = group;
  check(draft.state, spec, id);
  const before = specOf(group);
  if (JSON.stringify(before) === JSON.stringify(specOf({ ...group, ...spec }))) return;
  // Who takes part in VRRP lets go of VIPs by VRRP, step by step; see the planner's `groupStep`.
  const isAmongMembers = group.joined.length > 0 || (group.mode === "vrrp" && spec.mode === "vrrp");
  const next = isAmongMembers ? group : withActive(group, spec.activeNodeId, draft.sequence);
  const isLeaving = spec.mode === "single" && group.joined.length > 0;
  // A wish of its own: one that members carried out before says nothing about who shall hold the VIPs afterwards.
  const wish = isLeaving ? { preferredNodeId: spec.activeNodeId, preferredSequence: draft.sequence } : {};
  draft.putGroup(withRouterId(draft.state, { ...next, ...specOf(spec), ...wish, revision: group.revision + 1 }));
  const change = { action: "updated", objectKind: "directorGroup", objectId: id, objectName: spec.name } as const;
  draft.change({ ...change, before, after: spec });
  draft.audit("directorGroup.updated", id, { name: spec.name, activeNodeId: spec.activeNodeId });
}

/** Deletes a group that nobody uses. */
export function deleteGroup(draft: Draft, id: string): void {
  const group = draft.state.group(id);
  const service = draft.state.liveServices().find(({ spec }) => spec.directorGroupId === id);
  if (service) throw new DomainError("resource.inUse", `The service "${service.spec.name}" belongs to this group.`);
  const member = draft.state.homeMembers(id).find((node) => node.state !== "decommissioned" && node.state !== "revoked");
  if (member) throw new DomainError("resource.inUse", `The director ${member.name} is a member of this group.`);
  draft.putGroup({ ...group, revision: group.revision + 1, deletedAt: draft.now });
  const change = { action: "deleted", objectKind: "directorGroup", objectId: id, objectName: group.name } as const;
  draft.change({ ...change, before: specOf(group) });
  draft.audit("directorGroup.deleted", id, { name: group.name });
}

/** Brings a deleted group back under its own id, without members. */
export function restoreGroup(draft: Draft, id: string, before: DirectorGroupSpec): void {
  const spec = { ...specOf(before), activeNodeId: null };
  const { name } = spec;
  check(draft.state, spec, id);
  const revision = (draft.state.groups.get(id)?.revision ?? 0) + 1;
  draft.putGroup(withRouterId(draft.state, { id, ...spec, ...freshProgress, sequence: 0, revision, deletedAt: null }));
  draft.change({ action: "created", objectKind: "directorGroup", objectId: id, objectName: name, after: spec });
  draft.audit("directorGroup.created", id, { name });
}

/** The group with another active member: its VIPs move when the old one has let go of them. */
export function withActive(group: StoredGroup, activeNodeId: string | null, sequence: number): StoredGroup {
  if (group.activeNodeId === activeNodeId) return group;
  if (group.activeNodeId === null) return { ...group, activeNodeId };
  return { ...group, activeNodeId, releasingNodeId: group.activeNodeId, releasingSequence: sequence };
}

export const specOf = (group: Pick<StoredGroup, keyof DirectorGroupSpec>): DirectorGroupSpec => ({
  name: group.name,
  mode: group.mode,
  activeNodeId: group.activeNodeId,
  vrrp: group.vrrp,
  floatingAddresses: [...group.floatingAddresses],
  ping: group.ping,
  manageFirewall: group.manageFirewall,
});

/** What a group is in the middle of when it is new: nothing. */
export const freshProgress = {
  releasingNodeId: null,
  releasingSequence: null,
  virtualRouterId: null,
  joined: [],
  joinedSequence: null,
  leaving: [],
  preferredNodeId: null,
  preferredSequence: null,
} as const satisfies Partial<StoredGroup>;

/** The number that a group in mode `vrrp` goes by: the one asked for, its own, or the first that no other has. It is kept ever after. */
function withRouterId(state: FleetState, group: StoredGroup): StoredGroup {
  if (group.mode !== "vrrp") return group;
  const taken = takenRouterIds(state, group.id);
  const own = group.virtualRouterId !== null && !taken.has(group.virtualRouterId) ? group.virtualRouterId : null;
  const first = Array.from({ length: 255 }, (_, index) => index + 1).find((id) => !taken.has(id)) ?? null;
  return { ...group, virtualRouterId: group.vrrp.virtualRouterId ?? own ?? first };
}

/** Numbers that other groups go by, or did until lately: their members may still speak. */
function takenRouterIds(state: FleetState, id: string): Map<number, StoredGroup> {
  const others = state.liveGroups().filter((group) => group.id !== id && (group.mode === "vrrp" || group.joined.length > 0));
  return new Map(others.flatMap((group) => (group.virtualRouterId === null ? [] : [[group.virtualRouterId, group] as const])));
}

function check(state: FleetState, spec: DirectorGroupSpec, id: string | null): void {
  const errors: FieldError[] = [];
  const wrong = (pointer: string, code: string, detail: string, meta: FieldError["meta"] = {}) =>
    errors.push({ pointer, code, detail, meta });
  if (state.liveGroups().some((other) => other.id !== id && other.name === spec.name)) {
    wrong("/name", "name.taken", `Another director group is already called "${spec.name}".`, { name: spec.name });
  }
  if (spec.activeNodeId !== null) {
    const node = state.nodes.get(spec.activeNodeId);
    const isMember = node?.directorGroupId === id || spec.vrrp.members.some(({ nodeId }) => nodeId === spec.activeNodeId);
    if (node?.role !== "director" || !isMember || node.state !== "active") {
      wrong("/activeNodeId", "node.unknown", "The active member must be an active director of this group.");
    }
  }
  errors.push(...checkFloating(state, spec, id));
  if (spec.mode === "vrrp") errors.push(...checkVrrp(state, spec, id));
  else errors.push(...checkLeaving(state, spec, id));
  if (errors[0]) throw new DomainError("input.invalid", errors[0].detail, errors);
}

/** What is wrong with addresses that shall move with the VIPs. */
function checkFloating(state: FleetState, { floatingAddresses, vrrp }: DirectorGroupSpec, id: string | null): FieldError[] {
  const errors: FieldError[] = [];
  const before = (id !== null && state.groups.get(id)?.floatingAddresses) || [];
  const services = state.liveServices();
  const nodes = [...state.nodes.values()].filter((node) => node.state === "active" || node.state === "quarantined");
  const named = new Set(vrrp.members.map(({ nodeId }) => nodeId));
  const members = nodes.filter((node) => node.role === "director" && (node.directorGroupId === id || named.has(node.id)));
  for (const [index, address] of floatingAddresses.entries()) {
    const wrong = (code: string, detail: string, meta: FieldError["meta"] = {}) =>
      errors.push({ pointer: `/floatingAddresses/${index}`, code, detail, meta: { address, ...meta } });
    const range = unusableReason(address);
    if (range) wrong("address.unusable", `${address} is a ${range} address.`, { range });
    if (floatingAddresses.indexOf(address) < index) wrong("address.duplicate", `${address} is named twice.`);
    const other = state.liveGroups().find((group) => group.id !== id && group.floatingAddresses.includes(address));
    if (other)
      wrong("address.otherGroup", `${address} is a floating address of the group "${other.name}".`, { group: other.name });
    const service = services.find(({ spec }) => spec.vip === address);
    if (service)
      wrong("address.isVip", `${address} is the VIP of "${service.spec.name}": it moves as it is.`, {
        service: service.spec.name,
      });
    if (before.includes(address)) continue;
    // Of one that is new, whoever has it now has it for good: nobody would let go of it.
    const holder = nodes.find(({ facts }) =>
      facts?.interfaces.some(({ addresses }) => addresses.some((own) => own.address === address)),
    );
    if (holder) {
      const detail = `${address} is an address of ${holder.name} already: take it off there first.`;
      wrong("address.isNodeAddress", detail, { node: holder.name });
    }
    const away = members.find(({ facts }) => facts && !onLinkInterface(address, facts));
    if (away) wrong("address.offLink", `${away.name} has no interface in the network of ${address}.`, { node: away.name });
  }
  for (const address of before) {
    const user = floatingAddresses.includes(address)
      ? undefined
      : services.find(({ spec }) => spec.directorGroupId === id && spec.forwarding === "fullnat" && spec.snatSource === address);
    if (user) {
      const detail = `"${user.spec.name}" has ${address} for its SNAT source: give it another first.`;
      errors.push({ pointer: "/floatingAddresses", code: "address.inUse", detail, meta: { address, service: user.spec.name } });
    }
  }
  return errors;
}

/** What is wrong with how members shall agree; pointers as in the spec. */
function checkVrrp(state: FleetState, { vrrp }: DirectorGroupSpec, id: string | null): FieldError[] {
  const errors: FieldError[] = [];
  const wrong = (field: string, code: string, detail: string, meta: FieldError["meta"] = {}) =>
    errors.push({ pointer: `/vrrp/${field}`, code, detail, meta });
  const { members, virtualRouterId, interface: device } = vrrp;
  for (const [index, { nodeId, priority }] of members.entries()) {
    const node = state.nodes.get(nodeId);
    const name = node?.name ?? nodeId;
    if (node?.role !== "director" || node.state === "decommissioned" || node.state === "revoked") {
      wrong(`members/${index}/nodeId`, "node.unknown", `${name} is no director that takes part.`, { node: name });
    } else if (device !== null) {
      // A kernel's sync daemons speak on one interface, whatever the number of groups.
      const other = state
        .groupsOf(node)
        .find((group) => group.id !== id && group.mode === "vrrp" && (group.vrrp.interface ?? device) !== device);
      if (other) {
        const detail = `${name} speaks on ${other.vrrp.interface} in the group "${other.name}": a director speaks on one interface in all of them.`;
        const meta = { node: name, group: other.name, interface: other.vrrp.interface! };
        wrong("interface", "vrrp.otherInterface", detail, meta);
      }
    }
    const twin = members.findIndex((other) => other.nodeId === nodeId);
    if (twin < index) wrong(`members/${index}/nodeId`, "member.duplicate", `${name} is named twice.`, { node: name });
    const rival = members.slice(0, index).find((other) => other.priority === priority && other.nodeId !== nodeId);
    if (rival) {
      const other = state.nodes.get(rival.nodeId)?.name ?? rival.nodeId;
      const detail = `${other} has the priority ${priority} already: who comes first must be clear.`;
      wrong(`members/${index}/priority`, "member.priorityTaken", detail, { priority, node: other });
    }
  }
  const rival = virtualRouterId === null ? undefined : takenRouterIds(state, id ?? "").get(virtualRouterId);
  if (rival) {
    const detail = `The group "${rival.name}" goes by the number ${virtualRouterId} already.`;
    wrong("virtualRouterId", "vrrp.routerIdTaken", detail, { virtualRouterId: virtualRouterId!, group: rival.name });
  }
  if (device !== null) {
    const directors = membersOf(vrrp, id === null ? [] : state.homeMembers(id)).flatMap(
      ({ nodeId }) => state.nodes.get(nodeId) ?? [],
    );
    for (const { name, facts } of directors) {
      const names = facts?.interfaces.map((leg) => leg.name).filter((one) => one !== "lo");
      if (!names || names.includes(device)) continue;
      const detail = `${name} has no interface ${device}; it has ${names.join(", ") || "none"}.`;
      wrong("interface", "vrrp.noInterface", detail, { node: name, interface: device, has: names.join(", ") });
    }
  }
  return errors;
}

/** VIPs in service need somebody to hold them when VRRP ends. */
function checkLeaving(state: FleetState, { activeNodeId }: DirectorGroupSpec, id: string | null): FieldError[] {
  const group = id === null ? undefined : state.groups.get(id);
  if (group?.mode !== "vrrp" || activeNodeId !== null || state.groupVips(group.id).length === 0) return [];
  const detail = "Its VIPs are in service: say which member shall hold them.";
  return [{ pointer: "/activeNodeId", code: "group.holderRequired", detail }];
}
