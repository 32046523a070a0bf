import { type DirectorGroupSpec, type DirectorGroupView, DomainError, type FieldError } from "@trigon/model";
import type { Draft } from "../draft.ts";
import type { StoredGroup } from "../fleet-rows.ts";
import type { FleetState } from "../fleet-state.ts";
import { newId } from "../new-id.ts";
import { checkRevision } from "../revision.ts";
import type { ServiceContext } from "../service-context.ts";
import type { Services } from "../services.ts";
import { sortedPage } from "../sorted-page.ts";
import { matches } from "./text-filter.ts";

/** Director groups own VIPs; one member holds them. */
export function directorGroups({ store }: ServiceContext): Services["directorGroups"] {
  return {
    async list(input) {
      const state = await store.refresh();
      const found = state.liveGroups().filter(({ id, name }) => matches(input.query, id, name));
      return sortedPage(
        found,
        input,
        ({ name }) => name,
        (group) => groupView(state, group),
      );
    },

    async get(id) {
      const state = await store.refresh();
      return groupView(state, state.group(id));
    },

    async create(call, spec) {
      const id = newId("directorGroup");
      await store.write(call, async (draft) => {
        check(draft.state, spec, null);
        draft.putGroup({ id, ...spec, releasingNodeId: null, releasingSequence: null, revision: 1, deletedAt: null });
        draft.change({ action: "created", objectKind: "directorGroup", objectId: id, objectName: spec.name, after: spec });
        draft.audit("directorGroup.created", id, { name: spec.name });
      });
      return groupView(store.state, store.state.group(id));
    },

    async replace(call, id, revision, spec) {
      await store.write(
        call,
        async (draft) => {
          const group = draft.state.group(id);
          checkRevision(group.revision, revision);
          putGroupSpec(draft, group, spec);
        },
        { isOptional: true },
      );
      return groupView(store.state, store.state.group(id));
    },

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

/** Replaces a group's spec in a draft, or leaves everything alone when it is the same. */
export function putGroupSpec(draft: Draft, group: StoredGroup, spec: DirectorGroupSpec): void {
  const { id } = group;
  check(draft.state, spec, id);
  const before = specOf(group);
  if (JSON.stringify(before) === JSON.stringify(specOf({ ...group, ...spec }))) return;
  const next = withActive(group, spec.activeNodeId, draft.sequence);
  const { name, mode, ping, manageFirewall } = spec;
  draft.putGroup({ ...next, name, mode, ping, manageFirewall, revision: group.revision + 1 });
  const change = { action: "updated", objectKind: "directorGroup", objectId: id, objectName: spec.name } as const;
  draft.change({ ...change, before, after: spec });
  draft.audit("directorGroup.updated", id, { name: spec.name, activeNodeId: spec.activeNodeId });
}

/** Deletes a group that nobody uses. */
export function deleteGroup(draft: Draft, id: string): void {
  const group = draft.state.group(id);
  const service = draft.state.liveServices().find(({ spec }) => spec.directorGroupId === id);
  if (service) throw new DomainError("resource.inUse", `The service "${service.spec.name}" belongs to this group.`);
  const member = draft.state.members(id).find((node) => node.state !== "decommissioned" && node.state !== "revoked");
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
  draft.putGroup({ id, ...spec, releasingNodeId: null, releasingSequence: null, revision, deletedAt: null });
  draft.change({ action: "created", objectKind: "directorGroup", objectId: id, objectName: name, after: spec });
  draft.audit("directorGroup.created", id, { name });
}

/** The group with another active member: its VIPs move when the old one has let go of them. */
export function withActive(group: StoredGroup, activeNodeId: string | null, sequence: number): StoredGroup {
  if (group.activeNodeId === activeNodeId) return group;
  if (group.activeNodeId === null) return { ...group, activeNodeId };
  return { ...group, activeNodeId, releasingNodeId: group.activeNodeId, releasingSequence: sequence };
}

export const specOf = ({ name, mode, activeNodeId, ping, manageFirewall }: DirectorGroupSpec): DirectorGroupSpec => ({
  name,
  mode,
  activeNodeId,
  ping,
  manageFirewall,
});

function check(state: FleetState, spec: DirectorGroupSpec, id: string | null): void {
  const errors: FieldError[] = [];
  const wrong = (pointer: string, code: string, detail: string) => errors.push({ pointer, code, detail });
  if (state.liveGroups().some((other) => other.id !== id && other.name === spec.name)) {
    wrong("/name", "name.taken", `Another director group is already called "${spec.name}".`);
  }
  if (spec.activeNodeId !== null) {
    const node = state.nodes.get(spec.activeNodeId);
    if (node?.role !== "director" || node.directorGroupId !== id || node.state !== "active") {
      wrong("/activeNodeId", "node.unknown", "The active member must be an active director of this group.");
    }
  }
  if (errors[0]) throw new DomainError("input.invalid", errors[0].detail, errors);
}

function groupView(state: FleetState, group: StoredGroup): DirectorGroupView {
  return {
    ...specOf(group),
    id: group.id,
    revision: group.revision,
    members: state
      .members(group.id)
      .filter((node) => node.state === "active" || node.state === "quarantined")
      .map(({ id, name }) => ({ nodeId: id, name, isActive: id === group.activeNodeId })),
  };
}
