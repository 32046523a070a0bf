import type { Prisma, Transaction } from "@trigon/db";
import type { ChangeView } from "@trigon/model";
import type { Call } from "./actor.ts";
import { newId } from "./new-id.ts";

/** What happened, in the past tense; a closed set, so that the console can translate it. */
export type AuditEventName =
  | `${"virtualService" | "directorGroup"}.${"created" | "updated" | "deleted"}`
  | `node.${"enrolled" | "renamed" | "revoked" | "decommissioned" | "quarantined" | "renewed"}`
  | `enrollmentToken.${"created" | "revoked" | "used" | "refused" | "scriptFetched" | "preflightFailed"}`
  | `apiToken.${"created" | "revoked"}`
  | `gate.${"opened" | "releasing" | "released" | "releaseForced"}`
  | `fleet.${"created" | "generationAhead" | "restoreConfirmed"}`;

/** The author of what the controller does by itself. */
export const controllerCall: Call = { actor: { kind: "user", name: "controller", scopes: [] }, requestId: "" };

type Json = Prisma.InputJsonValue;

/** A row of the audit log. */
export function auditRow(call: Call, event: AuditEventName, objectId: string | null, detail: Record<string, unknown>) {
  const requestId = call.requestId === "" ? null : call.requestId;
  return { id: newId("audit"), actor: call.actor.name, event, objectId, detail: detail as Json, requestId };
}

/** Appends to the audit log, inside the transaction of what it tells about. */
export async function audit(
  tx: Pick<Transaction, "auditEvent">,
  call: Call,
  event: AuditEventName,
  objectId: string | null,
  detail: Record<string, unknown> = {},
): Promise<void> {
  await tx.auditEvent.create({ data: auditRow(call, event, objectId, detail) });
}

export interface ChangeRecord {
  action: ChangeView["action"];
  objectKind: ChangeView["objectKind"];
  objectId: string;
  objectName: string;
  generation: number;
  before?: unknown;
  after?: unknown;
}

/** Records a configuration change with its author and both sides. */
export async function recordChange(tx: Pick<Transaction, "change">, call: Call, change: ChangeRecord): Promise<string> {
  const { before, after, ...rest } = change;
  const id = newId("change");
  await tx.change.create({
    data: {
      id,
      author: call.actor.name,
      requestId: call.requestId === "" ? null : call.requestId,
      ...rest,
      before: before === undefined ? undefined : (before as Json),
      after: after === undefined ? undefined : (after as Json),
    },
  });
  return id;
}
