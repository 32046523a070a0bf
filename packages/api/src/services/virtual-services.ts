import {
  type ChangePreview,
  DomainError,
  type FieldError,
  type LintFinding,
  unreachable,
  VirtualServiceSpec,
} from "@trigon/model";
import { canonicalJson, type FleetNode, lintService, type ValidationContext, validateService } from "@trigon/planner";
import type { Call } from "../actor.ts";
import type { Draft } from "../draft.ts";
import type { StoredGroup, StoredService, StoredSpec } from "../fleet-rows.ts";
import type { FleetState } from "../fleet-state.ts";
import { newId } from "../new-id.ts";
import { previewNodes, totalOf } from "../preview.ts";
import { fieldErrorsOf, parseOrThrow } from "../problem.ts";
import { checkRevision } from "../revision.ts";
import type { ServiceContext } from "../service-context.ts";
import type { Services } from "../services.ts";
import type { Revision, ServiceWrite, VirtualServicePatch, VirtualServiceWritten } from "../shapes.ts";
import { sortedPage } from "../sorted-page.ts";
import { serviceRow, serviceView } from "../views.ts";
import { matches } from "./text-filter.ts";

/** Virtual services: what an operator asks for. */
export function virtualServices(context: ServiceContext): Services["virtualServices"] {
  const { store, sources, controllerAddresses } = context;

  const searched = async (query: string | undefined) => {
    const state = await store.refresh();
    return state
      .liveServices()
      .filter(({ id, spec }) =>
        matches(
          query,
          id,
          spec.name,
          spec.vip,
          `${spec.vip}:${spec.port}`,
          spec.protocol,
          spec.forwarding,
          spec.description,
          ...spec.realServers.map(({ rip }) => rip),
        ),
      );
  };

  function written(id: string): VirtualServiceWritten {
    const service = store.state.service(id);
    return { ...serviceView(sources, service), lint: lintOf(store.state, service.spec, id) };
  }

  async function create(draft: Draft, id: string, input: VirtualServiceSpec): Promise<void> {
    const spec = checked(draft.state, input, null, controllerAddresses());
    const { now } = draft;
    draft.putService({ id, spec, revision: 1, createdAt: now, updatedAt: now, deletedAt: null, gates: [] });
    draft.change({ action: "created", objectKind: "virtualService", objectId: id, objectName: spec.name, after: spec });
    draft.audit("virtualService.created", id, { name: spec.name });
  }

  /** Replaces the spec in a draft, or leaves everything alone when it is the same. */
  async function put(draft: Draft, service: StoredService, input: VirtualServiceSpec): Promise<boolean> {
    const spec = checked(draft.state, input, service, controllerAddresses());
    if (canonicalJson(spec) === canonicalJson(service.spec)) return false;
    draft.putService({ ...service, spec, revision: service.revision + 1, updatedAt: draft.now });
    const change = { action: "updated", objectKind: "virtualService", objectId: service.id, objectName: spec.name } as const;
    draft.change({ ...change, before: service.spec, after: spec });
    draft.audit("virtualService.updated", service.id, { name: spec.name });
    return true;
  }

  /** What a write does to a draft, and the id of the service that it is about, known once that ran. */
  function stepOf(input: ServiceWrite): { id: () => string; work: (draft: Draft) => Promise<void> } {
    let id = "id" in input ? input.id : newId("virtualService");
    const work = async (draft: Draft): Promise<void> => {
      switch (input.action) {
        case "create":
          return create(draft, id, input.spec);
        case "putByName": {
          const { name, spec } = input;
          const service = draft.state.liveServices().find((one) => one.spec.name === name);
          if (!service) return create(draft, id, { ...spec, name });
          id = service.id;
          checkRevision(service.revision, input.revision ?? "*");
          await put(draft, service, { ...spec, name });
          return;
        }
        case "replace":
        case "patch": {
          const service = draft.state.service(id);
          checkRevision(service.revision, input.revision);
          await put(draft, service, input.action === "replace" ? input.spec : patched(service.spec, input.spec));
          return;
        }
        case "delete":
          return remove(draft, id, input.revision);
        default:
          return unreachable(input);
      }
    };
    return { id: () => id, work };
  }

  async function remove(draft: Draft, id: string, revision: Revision): Promise<void> {
    const service = draft.state.services.get(id);
    if (!service) throw new DomainError("resource.notFound", `There is no virtual service ${id}.`);
    if (service.deletedAt) return;
    checkRevision(service.revision, revision);
    const { spec } = service;
    draft.putService({ ...service, revision: service.revision + 1, updatedAt: draft.now, deletedAt: draft.now });
    draft.change({ action: "deleted", objectKind: "virtualService", objectId: id, objectName: spec.name, before: spec });
    draft.audit("virtualService.deleted", id, { name: spec.name });
  }

  async function write(call: Call, input: ServiceWrite): Promise<VirtualServiceWritten> {
    const step = stepOf(input);
    await store.write(call, step.work, { isOptional: true });
    return written(step.id());
  }

  /** The preview of a write that asks for what is there. */
  function unchanged(id: string): ChangePreview {
    const service = store.state.services.get(id);
    const spec = service && !service.deletedAt ? service.spec : null;
    const lint = spec ? lintOf(store.state, spec, id) : [];
    return { dryRun: true, changesAnything: false, before: spec, after: spec, nodes: [], connections: null, lint };
  }

  return {
    async list(input) {
      return sortedPage(
        await searched(input.query),
        input,
        ({ spec }) => spec.name,
        (service) => serviceView(sources, service),
      );
    },

    async rows(input) {
      return sortedPage(
        await searched(input.query),
        input,
        ({ spec }) => spec.name,
        (service) => serviceRow(sources, service),
      );
    },

    async get(id) {
      return serviceView(sources, (await store.refresh()).service(id));
    },

    create: (call, spec) => write(call, { action: "create", spec }),
    putByName: (call, name, revision, spec) => write(call, { action: "putByName", name, revision, spec }),
    replace: (call, id, revision, spec) => write(call, { action: "replace", id, revision, spec }),
    patch: (call, id, revision, spec) => write(call, { action: "patch", id, revision, spec }),

    async delete(call, id, revision) {
      await store.write(call, stepOf({ action: "delete", id, revision }).work, { isOptional: true });
    },

    async preview(call, input) {
      const step = stepOf(input);
      await store.refresh();
      await context.counters.look();
      let preview: ChangePreview | undefined;
      await store.write(call, step.work, {
        isOptional: true,
        rehearse: (draft) => {
          const before = sources.state.services.get(step.id());
          const after = draft.state.services.get(step.id());
          const isGone = !after || after.deletedAt !== null;
          const counters = context.counters.views(sources.state, [step.id()], ({ nodeId }) => nodeId ?? undefined);
          const nodes = previewNodes(draft, sources, counters);
          preview = {
            dryRun: true,
            changesAnything: true,
            before: before && !before.deletedAt ? before.spec : null,
            after: isGone ? null : after.spec,
            nodes,
            connections: totalOf(nodes),
            lint: isGone ? [] : lintOf(draft.state, after.spec, step.id()),
          };
        },
      });
      return preview ?? unchanged(step.id());
    },

    async validate(input, id) {
      const parsed = VirtualServiceSpec.safeParse(input);
      if (!parsed.success) return { errors: fieldErrorsOf(parsed.error), lint: [] };
      const state = await store.refresh();
      const service = id === undefined ? null : state.service(id);
      const errors = errorsOf(state, parsed.data, service, controllerAddresses());
      return { errors, lint: errors.length === 0 ? lintOf(state, parsed.data, id) : [] };
    },
  };
}

function patched(spec: StoredSpec, patch: VirtualServicePatch): VirtualServiceSpec {
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

function errorsOf(
  state: FleetState,
  input: VirtualServiceSpec,
  service: StoredService | null,
  controllerAddresses: readonly string[],
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
  const known = new Set(service?.spec.realServers.map(({ id }) => id));
  return [
    ...validateService(input, {
      id: service?.id ?? null,
      group: groupOf(state, input),
      nodes: takesPart(state),
      others,
      controllerAddresses,
    }),
    ...input.realServers.flatMap(({ id }, at): FieldError[] =>
      service === null || id === undefined || known.has(id)
        ? []
        : [{ pointer: `/realServers/${at}/id`, code: "realServer.unknown", detail: `This service has no real server ${id}.` }],
    ),
  ];
}

function lintOf(state: FleetState, spec: VirtualServiceSpec, ownId: string | undefined): LintFinding[] {
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
): StoredSpec {
  const errors = errorsOf(state, input, service, controllerAddresses);
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
