import { type ChangePreview, unreachable, VirtualServiceSpec } from "@trigon/model";
import type { Call } from "../actor.ts";
import type { Draft } from "../draft.ts";
import { newId } from "../new-id.ts";
import { previewNodes, totalOf } from "../preview.ts";
import { fieldErrorsOf } from "../problem.ts";
import { checkRevision } from "../revision.ts";
import type { ServiceContext } from "../service-context.ts";
import type { Services } from "../services.ts";
import type { ServiceWrite, VirtualServiceWritten } from "../shapes.ts";
import { sortedPage } from "../sorted-page.ts";
import { serviceRow, serviceView, syncOf } from "../views.ts";
import { bulkWrite } from "./bulk.ts";
import { byName, compareKeys, rowKey } from "./row-order.ts";
import { errorsOf, lintOf, patched, serviceEditor } from "./service-editor.ts";
import { matches } from "./text-filter.ts";

/** Virtual services: what an operator asks for. */
export function virtualServices(context: ServiceContext): Services["virtualServices"] {
  const { store, sources, controllerAddresses } = context;
  const editor = serviceEditor(controllerAddresses);
  const { create, put, remove } = editor;

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

  /** What a write does to a draft, and the id of the service that it is about, known once that ran. */
  function stepOf(input: ServiceWrite): { id: () => string; work: (draft: Draft) => Promise<void> } {
    let id = "id" in input ? input.id : input.action === "bulk" ? input.spec.ids[0]! : newId("virtualService");
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
        case "bulk":
          return bulkWrite(draft, input.spec, editor);
        default:
          return unreachable(input);
      }
    };
    return { id: () => id, work };
  }

  async function write(call: Call, input: ServiceWrite): Promise<VirtualServiceWritten> {
    const step = stepOf(input);
    await store.write(call, step.work, { isOptional: true });
    return written(step.id());
  }

  /** The preview of a write that asks for what is there. */
  function unchanged(id: string | null): ChangePreview {
    const service = id === null ? undefined : store.state.services.get(id);
    const spec = service && !service.deletedAt ? service.spec : null;
    const lint = service && spec ? lintOf(store.state, spec, service.id) : [];
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

    async rows({ query, forwarding, state, order, descending, offset, limit }) {
      const found = (await searched(query)).filter(
        (service) =>
          (forwarding === undefined || service.spec.forwarding === forwarding) &&
          (state === undefined || syncOf(sources, service).state === state),
      );
      const keyOf = await rowKey(context, order);
      const keyed = found.map((service) => ({ service, key: keyOf(service) }));
      keyed.sort((a, b) => (descending ? -1 : 1) * compareKeys(a.key, b.key) || byName(a.service, b.service));
      const data = keyed.slice(offset, offset + limit).map(({ service }) => serviceRow(sources, service));
      return { data, total: found.length };
    },

    async get(id) {
      return serviceView(sources, (await store.refresh()).service(id));
    },

    create: (call, spec) => write(call, { action: "create", spec }),
    putByName: (call, name, revision, spec) => write(call, { action: "putByName", name, revision, spec }),
    replace: (call, id, revision, spec) => write(call, { action: "replace", id, revision, spec }),
    patch: (call, id, revision, spec) => write(call, { action: "patch", id, revision, spec }),

    async bulk(call, spec) {
      let changed = 0;
      const work = async (draft: Draft) => {
        await bulkWrite(draft, spec, editor);
        changed = draft.changeIds.length;
      };
      await store.write(call, work, { isOptional: true });
      return { changed };
    },

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
          const about = input.action === "bulk" ? input.spec.ids : [step.id()];
          const counters = context.counters.views(sources.state, about, ({ nodeId }) => nodeId ?? undefined);
          const nodes = previewNodes(draft, sources, counters);
          if (input.action === "bulk") {
            const many = { before: null, after: null, nodes, connections: totalOf(nodes), lint: [] };
            preview = { dryRun: true, changesAnything: draft.changeIds.length > 0, ...many };
            return;
          }
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
      return preview ?? unchanged(input.action === "bulk" ? null : step.id());
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
