import { DomainError, type FieldError, type LintFinding, resourceKey, VirtualServiceSpec } from "@trigon/model";
import { canonicalJson, type FleetNode, lintService, type ValidationContext, validateService } from "@trigon/planner";
import type { Draft } from "../draft.ts";
import type { StoredGroup, StoredService, StoredSpec } from "../fleet-rows.ts";
import type { FleetState } from "../fleet-state.ts";
import { newId } from "../new-id.ts";
import { parseOrThrow } from "../problem.ts";
import { checkRevision } from "../revision.ts";
import type { Revision, VirtualServicePatch } from "../shapes.ts";

/** Edits of one service inside a draft: each checks, changes the draft, and leaves a change and an audit event. */
export interface ServiceEditor {
  /** Makes it, or brings a deleted one back under its own id. `heldBy`: the node that has the VIP already, which is no error then. */
  create(draft: Draft, id: string, input: VirtualServiceSpec, options?: { heldBy?: string }): Promise<void>;
  /** Replaces the spec, or leaves everything alone when it is the same. `former`: ids of real servers that it had before and may have again. */
  put(draft: Draft, service: StoredService, input: VirtualServiceSpec, former?: readonly string[]): Promise<boolean>;
  /** Deletes it; one that is deleted already is no error. */
  remove(draft: Draft, id: string, revision: Revision): Promise<void>;
  /** Deletes it, and has its nodes leave what carries its packets in their kernels. */
  release(draft: Draft, service: StoredService): Promise<void>;
}

export function serviceEditor(controllerAddresses: () => readonly string[]): ServiceEditor {
  async function create(
    draft: Draft,
    id: string,
    input: VirtualServiceSpec,
    { heldBy }: { heldBy?: string } = {},
  ): Promise<void> {
    const old = draft.state.services.get(id) ?? null;
    const spec = checked(draft.state, input, old, controllerAddresses(), [], heldBy);
    const { now } = draft;
    const [revision, createdAt, gates] = [(old?.revision ?? 0) + 1, old?.createdAt ?? now, old?.gates ?? []];
    draft.putService({ id, spec, revision, createdAt, updatedAt: now, deletedAt: null, releasedAt: null, gates });
    draft.change({ action: "created", objectKind: "virtualService", objectId: id, objectName: spec.name, after: spec });
    draft.audit("virtualService.created", id, { name: spec.name });
  }

  async function put(
    draft: Draft,
    service: StoredService,
    input: VirtualServiceSpec,
    former: readonly string[] = [],
  ): Promise<boolean> {
    const spec = checked(draft.state, input, service, controllerAddresses(), former);
    if (canonicalJson(spec) === canonicalJson(service.spec)) return false;
    draft.putService({ ...service, spec, revision: service.revision + 1, updatedAt: draft.now });
    const change = { action: "updated", objectKind: "virtualService", objectId: service.id, objectName: spec.name } as const;
    draft.change({ ...change, before: service.spec, after: spec });
    draft.audit("virtualService.updated", service.id, { name: spec.name });
    return true;
  }

  async function remove(draft: Draft, id: string, revision: Revision): Promise<void> {
    const service = draft.state.services.get(id);
    if (!service) throw new DomainError("resource.notFound", `There is no virtual service ${id}.`);
    if (service.deletedAt) return;
    checkRevision(service.revision, revision);
    const { spec } = service;
    draft.putService({ ...service, revision: service.revision + 1, updatedAt: draft.now, deletedAt: draft.now });
    const key = resourceKey.ipvsService(spec.protocol, spec.vip, spec.port);
    await draft.tx.foreignDecision.deleteMany({ where: { key, decision: "adopt" } });
    draft.change({ action: "deleted", objectKind: "virtualService", objectId: id, objectName: spec.name, before: spec });
    draft.audit("virtualService.deleted", id, { name: spec.name });
  }

  async function release(draft: Draft, service: StoredService): Promise<void> {
    const { id, spec, revision } = service;
    const { now } = draft;
    draft.putService({ ...service, revision: revision + 1, updatedAt: now, deletedAt: now, releasedAt: now });
    draft.change({ action: "deleted", objectKind: "virtualService", objectId: id, objectName: spec.name, before: spec });
  }

  return { create, put, remove, release };
}

export function patched(spec: StoredSpec, patch: VirtualServicePatch): VirtualServiceSpec {
  return parseOrThrow(VirtualServiceSpec, { ...spec, ...patch, health: { ...spec.health, ...patch.health } });
}

/** The group a spec means: the one it names, or the only one there is. */
function groupOf(state: FleetState, { directorGroupId }: VirtualServiceSpec): StoredGroup | null {
  const groups = state.liveGroups();
  if (directorGroupId !== undefined) return groups.find(({ id }) => id === directorGroupId) ?? null;
  return groups.length === 1 ? groups[0]! : null;
}

const takesPart = (state: FleetState) =>
  [...state.nodes.values()].filter((node) => node.state === "active" || node.state === "quarantined") as FleetNode[];

export function errorsOf(
  state: FleetState,
  input: VirtualServiceSpec,
  service: StoredService | null,
  controllerAddresses: readonly string[],
  former: readonly string[] = [],
): FieldError[] {
  const others: ValidationContext["others"] = state
    .liveServices()
    .filter(({ spec }) => spec.name === input.name || spec.vip === input.vip)
    .map(({ id, spec: { name, vip, protocol, port, directorGroupId } }) => ({
      id,
      name,
      groupId: directorGroupId,
      vip,
      protocol,
      port,
    }));
  const known = new Set([...former, ...(service?.spec.realServers.map(({ id }) => id) ?? [])]);
  return [
    ...validateService(input, {
      id: service?.id ?? null,
      group: groupOf(state, input),
      nodes: takesPart(state),
      others,
      floating: state
        .liveGroups()
        .flatMap(({ name, floatingAddresses }) => floatingAddresses.map((address) => ({ address, group: name }))),
      controllerAddresses,
    }),
    ...input.realServers.flatMap(({ id }, at): FieldError[] =>
      service === null || id === undefined || known.has(id)
        ? []
        : [{ pointer: `/realServers/${at}/id`, code: "realServer.unknown", detail: `This service has no real server ${id}.` }],
    ),
  ];
}

export function lintOf(state: FleetState, spec: VirtualServiceSpec, ownId: string | undefined): LintFinding[] {
  const group = groupOf(state, spec);
  const neighbours = state
    .liveServices()
    .filter((other) => other.id !== ownId && other.spec.directorGroupId === group?.id)
    .map((other) => other.spec);
  return lintService(spec, { group, nodes: takesPart(state), neighbours });
}

/** The spec as it is stored, or `input.invalid` with every wrong field. A real server without an id is known again by its RIP and port. */
function checked(
  state: FleetState,
  input: VirtualServiceSpec,
  service: StoredService | null,
  controllerAddresses: readonly string[],
  former: readonly string[] = [],
  heldBy?: string,
): StoredSpec {
  const errors = errorsOf(state, input, service, controllerAddresses, former).filter(
    ({ code, meta }) => heldBy === undefined || code !== "vip.isNodeAddress" || meta?.node !== state.node(heldBy).name,
  );
  if (errors[0]) throw new DomainError("input.invalid", errors[0].detail, errors);
  const free = new Map(
    service?.spec.realServers.map((server) => [`${server.rip} ${server.port ?? service.spec.port}`, server.id]),
  );
  const named = new Set(input.realServers.map(({ id }) => id));
  const realServers = input.realServers.map((server) => {
    if (service && server.id !== undefined) return { ...server, id: server.id };
    const again = free.get(`${server.rip} ${server.port ?? input.port}`);
    return { ...server, id: again !== undefined && !named.has(again) ? again : newId("realServer") };
  });
  return { ...input, directorGroupId: groupOf(state, input)!.id, realServers };
}
