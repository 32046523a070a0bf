import { type ChangePreview, DomainError, type ForeignServiceView, VirtualServiceSpec } from "@trigon/model";
import { adopted, type ForeignService, foreignServices } from "@trigon/planner";
import type { Call } from "../actor.ts";
import type { Draft } from "../draft.ts";
import { holderOf } from "../group-view.ts";
import { newId } from "../new-id.ts";
import { previewNodes } from "../preview.ts";
import { parseOrThrow } from "../problem.ts";
import { audit } from "../record.ts";
import type { ServiceContext } from "../service-context.ts";
import type { Services } from "../services.ts";
import { serviceView } from "../views.ts";
import { lintOf, serviceEditor } from "./service-editor.ts";

/** Services in directors' tables that Trigon did not make: shown until somebody decides. */
export function foreign({ db, store, live, sources, controllerAddresses }: ServiceContext): Services["foreign"] {
  const editor = serviceEditor(controllerAddresses);

  function found(nodeId: string, key: string): ForeignService {
    store.state.node(nodeId);
    const one = foreignServices(live.report(nodeId)?.table?.rows ?? []).find(({ service }) => service.key === key);
    if (!one) throw new DomainError("resource.notFound", `This node does not report a foreign service ${key}.`);
    return one;
  }

  async function list(nodeId: string): Promise<{ data: ForeignServiceView[] }> {
    (await store.refresh()).node(nodeId);
    const rows = live.report(nodeId)?.table?.rows ?? [];
    const decisions = await db.prisma.foreignDecision.findMany({ where: { nodeId } });
    const decided = new Map(decisions.map(({ key, decision }) => [key, decision]));
    return {
      data: foreignServices(rows).map((one) => {
        const { service, destinations } = one;
        const textOf = (key: string) => rows.find((row) => row.key === key)?.observed ?? key;
        const answer = adopted(one, "adopted");
        return {
          key: service.key,
          text: textOf(service.key),
          realServers: destinations.map(({ key }) => textOf(key)),
          decision: (decided.get(service.key) ?? null) as ForeignServiceView["decision"],
          refusal: "refusal" in answer ? answer.refusal : null,
        };
      }),
    };
  }

  async function decide(call: Call, nodeId: string, key: string, decision: "ignore" | "remove" | null): Promise<void> {
    found(nodeId, key);
    await db.prisma.$transaction(async (tx) => {
      await tx.foreignDecision.deleteMany({ where: { nodeId, key } });
      if (decision) await tx.foreignDecision.create({ data: { nodeId, key, decision } });
      const event = decision === "ignore" ? "ignored" : decision === "remove" ? "removed" : "shown";
      await audit(tx, call, `foreignService.${event}`, nodeId, { service: key });
    });
  }

  /** The write that makes a virtual service of a foreign one. Throws what stands against it. */
  function adoption(id: string, { id: nodeId, key, name }: { id: string; key: string; name: string }) {
    const answer = adopted(found(nodeId, key), name);
    if ("refusal" in answer) throw new DomainError("input.invalid", answer.refusal);
    return async (draft: Draft) => {
      const node = draft.state.node(nodeId);
      const group = node.directorGroupId === null ? undefined : draft.state.groups.get(node.directorGroupId);
      if (!group || holderOf(sources, group.id) !== nodeId)
        throw new DomainError("input.invalid", `${node.name} does not hold the VIPs of its group.`);
      const spec = parseOrThrow(VirtualServiceSpec, { ...answer.spec, directorGroupId: group.id });
      await editor.create(draft, id, spec, { heldBy: nodeId });
      await draft.tx.foreignDecision.deleteMany({ where: { nodeId, key } });
      await draft.tx.foreignDecision.create({ data: { nodeId, key, decision: "adopt" } });
      draft.audit("foreignService.adopted", nodeId, { service: key, name });
    };
  }

  return {
    list,

    async decide(call, { id, key, decision }) {
      await store.refresh();
      await decide(call, id, key, decision);
      return list(id);
    },

    async adopt(call, input) {
      await store.refresh();
      const id = newId("virtualService");
      await store.write(call, adoption(id, input));
      return serviceView(sources, store.state.service(id));
    },

    async previewAdoption(call, input) {
      await store.refresh();
      const id = newId("virtualService");
      let preview: ChangePreview | undefined;
      await store.write(call, adoption(id, input), {
        rehearse: (draft) => {
          const { spec } = draft.state.service(id);
          const nodes = previewNodes(draft, sources, [], { adopted: input.key });
          const lint = lintOf(draft.state, spec, id);
          preview = { dryRun: true, changesAnything: true, before: null, after: spec, nodes, connections: null, lint };
        },
      });
      return preview!;
    },
  };
}

/** What a node's agent is told about foreign services; undefined when nobody decided anything. */
export async function foreignWishes({ db }: Pick<ServiceContext, "db">, nodeId: string) {
  const rows = await db.prisma.foreignDecision.findMany({ where: { nodeId, decision: { in: ["adopt", "remove"] } } });
  if (rows.length === 0) return undefined;
  const keysOf = (decision: string) => rows.filter((row) => row.decision === decision).map(({ key }) => key);
  return { adopt: keysOf("adopt"), remove: keysOf("remove") };
}

/** A removal is over when the agent shows no such service any more: one that comes back is another's. */
export async function forgetRemoved(
  { db }: Pick<ServiceContext, "db">,
  nodeId: string,
  remove: readonly string[],
  shown: ReadonlySet<string>,
) {
  const gone = remove.filter((key) => !shown.has(key));
  if (gone.length > 0) await db.prisma.foreignDecision.deleteMany({ where: { nodeId, decision: "remove", key: { in: gone } } });
}
