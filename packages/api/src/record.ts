import type { Prisma, Transaction } from "@trigon/db";
import type { ChangeView } from "@trigon/model";
import type { Call } from "./actor.ts";
import { newId } from "./new-id.ts";
import { enqueue } from "./outbox.ts";

/** What happened, in the past tense; a closed set, so that the console can translate it. */
export type AuditEventName =
  | `${"virtualService" | "directorGroup"}.${"created" | "updated" | "deleted"}`
  | "virtualService.released"
  | `directorGroup.${"membersMoved" | "moveAsked" | "drillAsked" | "moveDone" | "moveFailed"}`
  | `node.${"enrolled" | "renamed" | "revoked" | "decommissioned" | "quarantined" | "renewed" | "certificateRetired" | "maintenanceBegun" | "maintenanceEnded" | "upgradeAsked" | "upgraded" | "upgradeFailed" | "unreachable" | "reachable"}`
  | `enrollmentToken.${"created" | "revoked" | "used" | "refused" | "scriptFetched" | "preflightFailed"}`
  | `apiToken.${"created" | "revoked"}`
  | `notificationTarget.${"created" | "updated" | "deleted" | "tested"}`
  | `user.${"created" | "roleChanged" | "disabled" | "enabled" | "passwordReset" | "deleted"}`
  | `gate.${"opened" | "releasing" | "released" | "releaseForced" | "forced" | "forgotten"}`
  | "realServer.adminStateChanged"
  | `foreignService.${"adopted" | "ignored" | "removed" | "shown"}`
  | `change.${"undone" | "kept" | "guardExpired" | "guardFailed" | "failed"}`
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
  tx: Pick<Transaction, "auditEvent" | "$executeRaw">,
  call: Call,
  event: AuditEventName,
  objectId: string | null,
  detail: Record<string, unknown> = {},
): Promise<void> {
  const row = auditRow(call, event, objectId, detail);
  const { at } = await tx.auditEvent.create({ data: row });
  await enqueue(tx, [{ ...row, at, source: "audit", kind: event }]);
}

export interface ChangeRecord {
  action: ChangeView["action"];
  objectKind: ChangeView["objectKind"];
  objectId: string;
  objectName: string;
  generation: number;
  /** The change that this one takes back. */
  undoOf: string | null;
  before?: unknown;
  after?: unknown;
}

/** What one write leaves in the books: changes, the nodes they concern, and audit events. */
export interface Records {
  changes: (ChangeRecord & { id: string })[];
  concernedNodeIds: readonly string[];
  audits: ReturnType<typeof auditRow>[];
}

/** Writes all of it in one statement. */
export async function writeRecords(
  tx: Pick<Transaction, "$executeRaw">,
  call: Call,
  { changes, concernedNodeIds, audits }: Records,
  at: Date,
): Promise<void> {
  if (changes.length + audits.length === 0) return;
  const requestId = call.requestId === "" ? null : call.requestId;
  await tx.$executeRaw`
    WITH changed AS (
      INSERT INTO change (id, at, author, action, "objectKind", "objectId", "objectName", generation, before, after, "requestId", "undoOf")
      SELECT c.id, ${at}::timestamp, ${call.actor.name}, c.action, c."objectKind", c."objectId", c."objectName", c.generation,
        nullif(c.before, 'null'), nullif(c.after, 'null'), ${requestId}, c."undoOf"
      FROM jsonb_to_recordset(${JSON.stringify(changes)}::jsonb) AS c(id text, action text, "objectKind" text, "objectId" text,
        "objectName" text, generation int, before jsonb, after jsonb, "undoOf" text)
      RETURNING id),
    concerned AS (
      INSERT INTO "changeOutcome" ("changeId", "nodeId", state, message)
      SELECT changed.id, node.id, 'applying', '' FROM changed, unnest(${[...concernedNodeIds]}::text[]) AS node(id))
    INSERT INTO "auditEvent" (id, at, actor, event, "objectId", detail, "requestId")
    SELECT a.id, ${at}::timestamp, a.actor, a.event, a."objectId", a.detail, a."requestId"
    FROM jsonb_to_recordset(${JSON.stringify(audits)}::jsonb) AS a(id text, actor text, event text, "objectId" text, detail jsonb, "requestId" text)`;
  await enqueue(
    tx,
    audits.map((row) => ({ ...row, at, source: "audit", kind: row.event })),
  );
}
