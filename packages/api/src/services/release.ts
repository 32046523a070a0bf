import { type AdoptionView, type ChangePreview, DomainError, resourceKey } from "@trigon/model";
import type { Call } from "../actor.ts";
import type { Draft } from "../draft.ts";
import type { StoredService } from "../fleet-rows.ts";
import type { FleetState } from "../fleet-state.ts";
import { previewNodes } from "../preview.ts";
import type { ServiceContext } from "../service-context.ts";
import type { Services } from "../services.ts";
import { serviceEditor } from "./service-editor.ts";

interface Adoption {
  nodeId: string;
  at: Date;
}

const keyOf = ({ spec }: StoredService) => resourceKey.ipvsService(spec.protocol, spec.vip, spec.port);

/** What stands against letting a service go that was adopted on a node; null: nothing. */
function refusalOf(state: FleetState, service: StoredService, { nodeId }: Adoption): string | null {
  const { spec, gates } = service;
  const group = state.groups.get(spec.directorGroupId);
  if (group?.mode === "vrrp")
    return "Its director group is in mode vrrp, where keepalived binds the VIP: released, it would lose it at the next takeover.";
  if (!spec.enabled) return "It is switched off, and so is in no kernel: enable it, or delete it.";
  const forwardings = new Set([spec.forwarding, ...spec.realServers.flatMap(({ forwarding }) => forwarding ?? [])]);
  if (forwardings.has("fullnat")) return "Full NAT needs rules of Trigon's own, which would go: change its forwarding first.";
  const concerned = new Set([nodeId, ...gates.flatMap(({ wanted, admitted }) => [wanted?.nodeId, admitted?.nodeId])]);
  for (const id of concerned) {
    const node = id ? state.nodes.get(id) : undefined;
    if (node && !node.facts?.takes?.includes("released"))
      return `The agent on ${node.name} is too old to let go of a service: it would remove it. Upgrade it first.`;
  }
  return null;
}

/** Adopted services, and how Trigon lets them go: it forgets them, and their nodes leave what carries their packets in the kernel. */
export function releases({ db, store, sources, controllerAddresses }: ServiceContext): Services["releases"] {
  const editor = serviceEditor(controllerAddresses);

  async function adoptionOf(service: StoredService): Promise<Adoption | null> {
    return db.prisma.foreignDecision.findFirst({ where: { key: keyOf(service), decision: "adopt" } });
  }

  /** The write, or what stands against it. */
  async function releasing(id: string): Promise<(draft: Draft) => Promise<void>> {
    const found = (await store.refresh()).service(id);
    const adoption = await adoptionOf(found);
    if (!adoption) {
      const detail = `${found.spec.name} was not adopted under this address: no stranger had it before. Delete it instead.`;
      throw new DomainError("service.notAdopted", detail);
    }
    return async (draft) => {
      const service = draft.state.service(id);
      const refusal = refusalOf(draft.state, service, adoption);
      if (refusal) throw new DomainError("service.notReleasable", refusal);
      await editor.release(draft, service);
      await draft.tx.foreignDecision.deleteMany({ where: { key: keyOf(service), decision: "adopt" } });
      draft.audit("virtualService.released", id, { name: service.spec.name, nodeId: adoption.nodeId });
    };
  }

  return {
    async adoption(id): Promise<{ data: AdoptionView | null }> {
      const service = (await store.refresh()).service(id);
      const adoption = await adoptionOf(service);
      if (!adoption) return { data: null };
      const { nodeId, at } = adoption;
      const nodeName = store.state.nodes.get(nodeId)?.name ?? nodeId;
      return { data: { nodeId, nodeName, at: at.toISOString(), refusal: refusalOf(store.state, service, adoption) } };
    },

    async release(call: Call, id: string) {
      await store.write(call, await releasing(id));
    },

    async preview(call: Call, id: string) {
      const work = await releasing(id);
      let preview: ChangePreview | undefined;
      await store.write(call, work, {
        rehearse: (draft) => {
          const before = sources.state.service(id).spec;
          const nodes = previewNodes(draft, sources, [], { released: true });
          preview = { dryRun: true, changesAnything: true, before, after: null, nodes, connections: null, lint: [] };
        },
      });
      return preview!;
    },
  };
}
