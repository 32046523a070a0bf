import { createHash } from "node:crypto";
import type { Database, Prisma } from "@trigon/db";
import { DomainError } from "@trigon/model";
import { open, seal } from "./secrets.ts";

/** An answer as it is kept. */
interface Kept {
  status: number;
  headers: Record<string, string>;
  body: string | null;
}

const abandonedMs = 60_000;

/**
 * Runs `work` once for an actor's key: a repeated request gets the first one's answer, a different request under the same key is refused.
 * Answers are kept sealed, as they may hold a secret; only those of requests that succeeded are kept.
 */
export async function once(
  { db, secretKey, now }: { db: Database; secretKey: Buffer; now: () => number },
  request: { actor: string; key: string; text: string },
  work: () => Promise<Kept>,
): Promise<Kept> {
  const { actor, key } = request;
  const requestHash = createHash("sha256").update(request.text).digest("hex");
  const name = `idempotency ${actor} ${key}`;
  const claimed = await db.prisma.$executeRaw`
    INSERT INTO "idempotencyKey" AS kept (actor, key, "requestHash", "createdAt")
    VALUES (${actor}, ${key}, ${requestHash}, ${new Date(now())}::timestamp)
    ON CONFLICT (actor, key) DO UPDATE SET "createdAt" = excluded."createdAt"
    WHERE kept.status IS NULL AND kept."requestHash" = excluded."requestHash" AND kept."createdAt" < ${new Date(now() - abandonedMs)}::timestamp`;
  const where = { actor_key: { actor, key } };
  if (claimed === 0) {
    const kept = await db.prisma.idempotencyKey.findUnique({ where });
    if (kept && kept.requestHash !== requestHash) {
      throw new DomainError("input.invalid", "This Idempotency-Key was used for a different request.", [
        { pointer: "", code: "idempotency.mismatch", detail: "Use a new key for a new request" },
      ]);
    }
    if (!kept?.status) throw new DomainError("resource.inUse", "A request with this Idempotency-Key is still under way.");
    const headers = { ...(kept.headers as Record<string, string>), "idempotency-replayed": "true" };
    return {
      status: kept.status,
      headers,
      body: kept.body === null ? null : open(secretKey, name, Buffer.from(kept.body, "base64")),
    };
  }
  try {
    const answer = await work();
    const body = answer.body === null ? null : seal(secretKey, name, answer.body).toString("base64");
    await db.prisma.idempotencyKey.update({
      where,
      data: { status: answer.status, headers: answer.headers as Prisma.InputJsonValue, body },
    });
    return answer;
  } catch (error) {
    await db.prisma.idempotencyKey.deleteMany({ where: { actor, key } }).catch(() => undefined);
    throw error;
  }
}
