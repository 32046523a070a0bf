import { DomainError, type FieldError, unreachable } from "@trigon/model";
import type { Draft } from "../draft.ts";
import type { StoredService } from "../fleet-rows.ts";
import type { BulkSpec } from "../shapes.ts";
import { changeAdminStates } from "./admin-states.ts";
import type { ServiceEditor } from "./service-editor.ts";

/** Does one thing to many services in a draft: to all, or throws what stands against it at each of them. */
export async function bulkWrite(draft: Draft, { action, ids }: BulkSpec, editor: ServiceEditor): Promise<void> {
  const errors: FieldError[] = [];
  for (const [at, id] of [...new Set(ids)].entries()) {
    try {
      await one(draft, draft.state.service(id), action, editor);
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      const [field] = error.fields;
      errors.push({
        pointer: `/spec/ids/${at}`,
        code: field?.code ?? error.code,
        detail: `${nameOf(draft, id)}: ${field?.detail ?? error.message}`,
      });
    }
  }
  if (errors.length > 0)
    throw new DomainError("input.invalid", "Nothing was changed, since some of these services cannot be.", errors);
}

const nameOf = (draft: Draft, id: string) => draft.state.services.get(id)?.spec.name ?? id;

async function one(draft: Draft, service: StoredService, action: BulkSpec["action"], editor: ServiceEditor): Promise<void> {
  if (service.deletedAt) {
    if (action === "delete") return;
    throw new DomainError("resource.notFound", "It is deleted.");
  }
  switch (action) {
    case "switchOn":
    case "switchOff":
      await editor.put(draft, service, { ...service.spec, enabled: action === "switchOn" });
      return;
    case "drain":
      await changeAdminStates(editor, draft, service, ({ adminState }) =>
        adminState === "active" ? { adminState: "draining", drain: { mode: "activeConnections", until: null } } : undefined,
      );
      return;
    case "activate":
      await changeAdminStates(editor, draft, service, ({ adminState }) =>
        adminState === "active" ? undefined : { adminState: "active", drain: null },
      );
      return;
    case "delete":
      return editor.remove(draft, service.id, "*");
    default:
      return unreachable(action);
  }
}
