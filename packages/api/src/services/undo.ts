import { DirectorGroupSpec, DomainError, Name, resourceKey, type Scope, VirtualServiceSpec } from "@trigon/model";
import { canonicalJson } from "@trigon/planner";
import { z } from "zod";
import type { Draft } from "../draft.ts";
import type { FleetState } from "../fleet-state.ts";
import { deleteGroup, putGroupSpec, restoreGroup, specOf as specOfGroup } from "./director-groups.ts";
import { renameNode } from "./nodes.ts";
import type { ServiceEditor } from "./service-editor.ts";

/** A change as it stands in the books. */
export interface UndoableChange {
  id: string;
  action: string;
  objectKind: string;
  objectId: string;
  objectName: string;
  before: unknown;
  after: unknown;
}

const NodeName = z.strictObject({ name: Name });

/** The scope that taking a change back needs: that of making it. */
export function scopeOfUndo({ objectKind }: UndoableChange): Scope {
  return objectKind === "virtualService" ? "virtual-service:write" : "node:write";
}

/** Whether `undo` would be tried at all: the object still is what the change made of it. Pure. */
export function canUndo(state: FleetState, change: UndoableChange): boolean {
  try {
    checkUntouched(state, change);
    return true;
  } catch (error) {
    if (error instanceof DomainError) return false;
    throw error;
  }
}

/** The compensating change, by the same way as any other. Throws `revision.stale` when the object was changed since, `change.irreversible` when there is no way back. */
export async function undo(draft: Draft, change: UndoableChange, services: ServiceEditor): Promise<void> {
  checkUntouched(draft.state, change);
  if (change.objectKind === "virtualService" && change.action === "created") await checkNotAdopted(draft, change);
  draft.undoes(change.id);
  draft.audit("change.undone", change.objectId, { change: change.id, name: change.objectName });
  const { objectId: id, action, before } = change;
  switch (change.objectKind) {
    case "virtualService":
      if (action === "created") return services.remove(draft, id, "*");
      if (action === "updated") return putBack(draft, id, VirtualServiceSpec.parse(before), services);
      if (draft.state.services.get(id)?.releasedAt) throw releasedSince(change);
      return services.create(draft, id, VirtualServiceSpec.parse(before));
    case "directorGroup":
      if (action === "created") return deleteGroup(draft, id);
      if (action === "updated") return putGroupSpec(draft, draft.state.group(id), DirectorGroupSpec.parse(before));
      return restoreGroup(draft, id, DirectorGroupSpec.parse(before));
    default:
      return renameNode(draft, draft.state.node(id), NodeName.parse(before).name);
  }
}

async function putBack(draft: Draft, id: string, spec: VirtualServiceSpec, services: ServiceEditor): Promise<void> {
  const former = spec.realServers.flatMap((server) => server.id ?? []);
  await services.put(draft, draft.state.service(id), spec, former);
}

function checkUntouched(state: FleetState, change: UndoableChange): void {
  const { objectId: id, after, before } = change;
  switch (change.objectKind) {
    case "virtualService":
      checkSpec(change, state.services.get(id), ({ spec }) => spec, VirtualServiceSpec);
      return;
    case "directorGroup":
      checkSpec(change, state.groups.get(id), specOfGroup, DirectorGroupSpec);
      return;
    case "node": {
      const [was, is] = [NodeName.safeParse(before), NodeName.safeParse(after)];
      if (!was.success || !is.success) break;
      const node = state.nodes.get(id);
      if (node?.name !== is.data.name) throw changedSince(change, node?.revision);
      return;
    }
  }
  throw new DomainError("change.irreversible", `There is no way back from this change of ${change.objectName}.`);
}

/** What was in the kernel before Trigon must not go from there because somebody takes its adoption back. */
async function checkNotAdopted(draft: Draft, { objectId, objectName }: UndoableChange): Promise<void> {
  const { spec } = draft.state.service(objectId);
  const key = resourceKey.ipvsService(spec.protocol, spec.vip, spec.port);
  const adoption = await draft.tx.foreignDecision.findFirst({ where: { key, decision: "adopt" }, include: { node: true } });
  if (!adoption) return;
  const detail = `${objectName} stood on ${adoption.node.name} before it was adopted, and carries traffic: taking the adoption back would remove it there. Delete the virtual service if that is what you want.`;
  throw new DomainError("change.irreversible", detail);
}

/** Whether what has a spec still is as the change left it: gone, or of that very spec. */
function checkSpec<T extends { revision: number; deletedAt: Date | null }>(
  change: UndoableChange,
  object: T | undefined,
  specOf: (object: T) => unknown,
  schema: z.ZodType,
): void {
  const live = object?.deletedAt === null ? object : undefined;
  const isAsLeft =
    change.action === "deleted"
      ? !live
      : live !== undefined && canonicalJson(specOf(live)) === canonicalJson(parsed(schema, change.after));
  if (!isAsLeft) throw changedSince(change, object?.revision);
}

function releasedSince({ objectName }: UndoableChange): DomainError {
  const detail = `${objectName} was released: it stands in the kernel as a foreign service. Adopt it again, on the director's page.`;
  return new DomainError("change.irreversible", detail);
}

function changedSince({ objectName }: UndoableChange, revision: number | undefined): DomainError {
  const now = revision === undefined ? "it is gone" : `it is at revision ${revision} now`;
  const detail = `${objectName} was changed since (${now}): undo the newer changes first, newest first, or edit it.`;
  return new DomainError("revision.stale", detail);
}

/** What the books hold, with the defaults of fields that are younger. */
function parsed<T extends z.ZodType>(schema: T, value: unknown): unknown {
  const result = schema.safeParse(value);
  return result.success ? result.data : value;
}
