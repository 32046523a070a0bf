import { createHash, randomBytes } from "node:crypto";
import type { Database } from "@trigon/db";
import { DomainError, type Scope } from "@trigon/model";
import type { Actor } from "../actor.ts";
import { decodeCursor, encodeCursor, pageOf } from "../cursor.ts";
import { newId } from "../new-id.ts";
import { audit } from "../record.ts";
import type { Services } from "../services.ts";
import { contains } from "./text-filter.ts";

const dayMs = 86_400_000;
/** `lastUsedAt` is written at most this often. */
const lastUsedStepMs = 60_000;
const tokenShape = /^trg_pat_[A-Za-z0-9_-]{43}$/;
const prefixLength = "trg_pat_".length + 4;

const hashOf = (token: string) => createHash("sha256").update(token).digest("hex");

type Row = NonNullable<Awaited<ReturnType<Database["prisma"]["apiToken"]["findUnique"]>>>;

function viewOf(row: Row) {
  return {
    id: row.id,
    name: row.name,
    scopes: row.scopes as Scope[],
    prefix: row.prefix,
    createdAt: row.createdAt.toISOString(),
    createdBy: row.createdBy,
    expiresAt: row.expiresAt.toISOString(),
    lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
  };
}

export interface ApiTokens {
  service: Services["apiTokens"];
  /** The actor of a bearer token. Throws `token.invalid`, `token.expired` or `token.revoked`. */
  authenticate(token: string): Promise<Actor>;
}

/** API tokens: shown once, kept as a hash, always with an end. */
export function apiTokens(db: Database, now: () => number): ApiTokens {
  return {
    async authenticate(token) {
      const row = tokenShape.test(token) ? await db.prisma.apiToken.findUnique({ where: { hash: hashOf(token) } }) : null;
      if (!row) throw new DomainError("token.invalid", "This API token is not known.");
      if (row.revokedAt) throw new DomainError("token.revoked", "This API token was revoked.");
      if (row.expiresAt.getTime() <= now()) throw new DomainError("token.expired", "This API token has expired.");
      if (now() - (row.lastUsedAt?.getTime() ?? 0) > lastUsedStepMs) {
        await db.prisma.apiToken.update({ where: { id: row.id }, data: { lastUsedAt: new Date(now()) } });
      }
      return { kind: "token", name: row.name, scopes: row.scopes as Scope[] };
    },

    service: {
      async list({ limit, cursor, query }) {
        const after = cursor === undefined ? undefined : decodeCursor(cursor);
        const rows = await db.prisma.apiToken.findMany({
          where: {
            revokedAt: null,
            AND: [
              after ? { OR: [{ createdAt: { lt: after.at } }, { createdAt: after.at, id: { lt: after.id } }] } : {},
              query ? { name: contains(query) } : {},
            ],
          },
          orderBy: [{ createdAt: "desc" }, { id: "desc" }],
          take: limit + 1,
        });
        return pageOf(rows, limit, (row) => encodeCursor(row.createdAt, row.id), viewOf);
      },

      async create(call, spec) {
        const token = `trg_pat_${randomBytes(32).toString("base64url")}`;
        const row = await db.prisma.$transaction(async (tx) => {
          const created = await tx.apiToken.create({
            data: {
              id: newId("apiToken"),
              hash: hashOf(token),
              prefix: token.slice(0, prefixLength),
              name: spec.name,
              scopes: [...new Set(spec.scopes)],
              createdBy: call.actor.name,
              createdAt: new Date(now()),
              expiresAt: new Date(now() + spec.expiresInDays * dayMs),
            },
          });
          await audit(tx, call, "apiToken.created", created.id, { name: spec.name, scopes: created.scopes });
          return created;
        });
        return { ...viewOf(row), token };
      },

      async revoke(call, id) {
        await db.prisma.$transaction(async (tx) => {
          const row = await tx.apiToken.findUnique({ where: { id } });
          if (!row) throw new DomainError("resource.notFound", `There is no API token ${id}.`);
          if (row.revokedAt) return;
          await tx.apiToken.update({ where: { id }, data: { revokedAt: new Date(now()) } });
          await audit(tx, call, "apiToken.revoked", id, { name: row.name });
        });
      },
    },
  };
}
