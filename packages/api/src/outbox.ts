import type { Transaction } from "@trigon/db";
import { type EventTopic, eventTopics } from "@trigon/model";

/** An event as it is written: of the audit log, or by a node (`source` is its id then). */
export interface Happened {
  id: string;
  at: Date;
  source: string;
  /** `drift.found`, `node.unreachable` …; its first word tells the topic. */
  kind: string;
  objectId: string | null;
  /** The agent's key of the resource. */
  key?: string | null;
  actor: string | null;
  detail: unknown;
}

const topicOf = new Map<string, EventTopic>(
  Object.entries(eventTopics).flatMap(([topic, areas]) => areas.map((area) => [area, topic as EventTopic] as const)),
);

/**
 * Leaves events for every target that wants their topic, in the transaction that they are written in: what is rolled back is never told,
 * what is committed cannot be forgotten. Whoever sends them does so later, and elsewhere.
 */
export async function enqueue(tx: Pick<Transaction, "$executeRaw">, events: readonly Happened[]): Promise<void> {
  const rows = events.map(({ id, at, source, kind, objectId, key = null, actor, detail }) => ({
    ...{ eventId: id, at, source, kind, objectId, key, actor, detail },
    topic: topicOf.get(kind.split(".")[0]!) ?? null,
  }));
  if (rows.length === 0) return;
  await tx.$executeRaw`
    INSERT INTO notification ("targetId", "eventId", topic, source, kind, at, "objectId", key, actor, detail)
    SELECT t.id, e."eventId", e.topic, e.source, e.kind, (e.at AT TIME ZONE 'UTC'), e."objectId", e.key, e.actor, coalesce(e.detail, '{}')
    FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) AS e("eventId" text, topic text, source text, kind text, at timestamptz,
      "objectId" text, key text, actor text, detail jsonb), "notificationTarget" t
    WHERE t.enabled AND e.topic = ANY (t.topics)`;
}
