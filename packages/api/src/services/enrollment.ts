import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Database } from "@trigon/db";
import {
  DomainError,
  type EnrollAnswer,
  type EnrollmentTokenCreated,
  type EnrollmentTokenView,
  type EnrollRequest,
  Name,
  type NodeRole,
} from "@trigon/model";
import type { z } from "zod";
import type { Call } from "../actor.ts";
import type { Certificates } from "../certificates.ts";
import { decodeCursor, encodeCursor, pageOf } from "../cursor.ts";
import type { FleetState } from "../fleet-state.ts";
import { newId } from "../new-id.ts";
import { newsText } from "../news.ts";
import { audit } from "../record.ts";
import type { ServiceContext } from "../service-context.ts";
import type { Services } from "../services.ts";
import { contains } from "./text-filter.ts";

export interface EnrollmentOptions extends ServiceContext {
  certificates: Certificates;
  /** Where people and install scripts reach the console. */
  publicUrl: string;
  /** Where agents reach the controller. */
  agentUrl: string;
  /** curl's pin of the certificate that `publicUrl` shows. */
  pin: () => string;
}

/** What a machine that has no certificate yet may ask for. */
export interface EnrollmentDesk {
  /** The install script was fetched by way of this token's line. */
  scriptFetched(tokenId: string, address: string | null): Promise<void>;
  /** The install script's own steps; a token that cannot be used is refused with its code. */
  progress(
    step: { token: string; stage: "preflight" | "preflightFailed"; message: string },
    address: string | null,
  ): Promise<{ role: NodeRole; name: string | null }>;
  /** Token and CSR in, certificate out. A token works once. */
  enroll(request: EnrollRequest, address: string | null): Promise<EnrollAnswer>;
}

type EnrollmentCommands = z.infer<typeof EnrollmentTokenCreated>["commands"];
type Row = NonNullable<Awaited<ReturnType<Database["prisma"]["enrollmentToken"]["findUnique"]>>>;

const hashOf = (secret: string) => createHash("sha256").update(secret).digest("hex");
const tokenPrefix = "trg1.";

/** `trg1.` and what a machine needs to know to trust the console: where it is, the token's id and secret, and the CA's digest. */
function composeToken(content: { url: string; id: string; secret: string; caSha256: string }): string {
  return tokenPrefix + Buffer.from(JSON.stringify(content)).toString("base64url");
}

function parseToken(token: string): { id: string; secret: string } {
  try {
    if (!token.startsWith(tokenPrefix)) throw new Error("prefix");
    const { id, secret } = JSON.parse(Buffer.from(token.slice(tokenPrefix.length), "base64url").toString("utf8"));
    if (typeof id !== "string" || typeof secret !== "string") throw new Error("fields");
    return { id, secret };
  } catch (cause) {
    throw new DomainError("token.invalid", "This is no enrollment token.", [], { cause });
  }
}

/** Enrollment tokens and the enrolling itself. */
export function enrollment(options: EnrollmentOptions): { service: Services["enrollment"]; desk: EnrollmentDesk } {
  const { db, store, sources, certificates, publicUrl, agentUrl, pin, now } = options;

  function stageOf(row: Row): EnrollmentTokenView["stage"] {
    const node = row.nodeId === null ? undefined : store.state.nodes.get(row.nodeId);
    if (row.usedAt && row.nodeId) {
      if (!sources.live.report(row.nodeId)) return sources.live.isConnected(row.nodeId) ? "connected" : "enrolled";
      const fragments = store.plans.fragments(row.nodeId);
      const states = sources.live.report(row.nodeId)?.fragments;
      const isInSync = [...fragments.values()].every(({ id, hash }) => {
        const state = states?.get(id);
        return state?.hash === hash && state.state === "applied";
      });
      return node && sources.live.isConnected(node.id) ? (isInSync ? "inSync" : "connected") : "enrolled";
    }
    if (row.revokedAt) return "revoked";
    if (row.expiresAt.getTime() <= now()) return "expired";
    if (row.preflightFailedAt) return "preflightFailed";
    return row.scriptFetchedAt ? "scriptFetched" : "created";
  }

  function viewOf(row: Row): EnrollmentTokenView {
    return {
      id: row.id,
      role: row.role as NodeRole,
      directorGroupId: row.directorGroupId,
      name: row.name,
      createdAt: row.createdAt.toISOString(),
      createdBy: row.createdBy,
      expiresAt: row.expiresAt.toISOString(),
      usedAt: row.usedAt?.toISOString() ?? null,
      revokedAt: row.revokedAt?.toISOString() ?? null,
      stage: stageOf(row),
      lastContact: row.lastContactAt
        ? { at: row.lastContactAt.toISOString(), address: row.lastContactAddress, message: row.lastContactMessage }
        : null,
      nodeId: row.nodeId,
    };
  }

  /** The row of a token that may be used now; any other is refused with its own code, and the refusal is audited. */
  async function usable(token: string, address: string | null): Promise<Row> {
    const { id, secret } = parseToken(token);
    const row = await db.prisma.enrollmentToken.findUnique({ where: { id } });
    const refuse = async (code: "token.invalid" | "token.used" | "token.revoked" | "token.expired", detail: string) => {
      await audit(db.prisma, deskCall, "enrollmentToken.refused", row?.id ?? null, { code, address });
      return new DomainError(code, detail);
    };
    if (!row || !timingSafeEqual(Buffer.from(row.hash), Buffer.from(hashOf(secret)))) {
      throw await refuse("token.invalid", "This enrollment token is not known.");
    }
    if (row.usedAt) throw await refuse("token.used", "This enrollment token was used already.");
    if (row.revokedAt) throw await refuse("token.revoked", "This enrollment token was revoked.");
    if (row.expiresAt.getTime() <= now()) throw await refuse("token.expired", "This enrollment token has expired.");
    return row;
  }

  function commandsFor(id: string, token: string): EnrollmentCommands {
    const url = `${publicUrl}/enroll/install.sh?t=${id}`;
    const shell = `sh -s -- --token ${token}`;
    const curl = `curl -fsSk --proto '=https' --pinnedpubkey '${pin()}' '${url}'`;
    return {
      curl: `${curl} | sudo ${shell}`,
      wget: `wget -qO- --https-only --no-check-certificate --pinnedpubkey '${pin()}' '${url}' | sudo ${shell}`,
      ansible: [
        "- name: Enroll in Trigon",
        "  become: true",
        "  ansible.builtin.shell:",
        "    creates: /var/lib/trigon/identity/enrollment.json",
        "    cmd: |",
        `      ${curl} | ${shell}`,
      ].join("\n"),
    };
  }

  const service: Services["enrollment"] = {
    async list({ limit, cursor, query }) {
      const after = cursor === undefined ? undefined : decodeCursor(cursor);
      await store.refresh();
      const rows = await db.prisma.enrollmentToken.findMany({
        where: {
          AND: [
            after ? { OR: [{ createdAt: { lt: after.at } }, { createdAt: after.at, id: { lt: after.id } }] } : {},
            query ? { OR: [{ name: contains(query) }, { role: contains(query) }, { createdBy: contains(query) }] } : {},
          ],
        },
        orderBy: [{ createdAt: "desc" }, { id: "desc" }],
        take: limit + 1,
      });
      return pageOf(rows, limit, (row) => encodeCursor(row.createdAt, row.id), viewOf);
    },

    async create(call, spec) {
      const secret = randomBytes(24).toString("base64url");
      const id = newId("token");
      const state = await store.refresh();
      const directorGroupId = spec.role === "director" ? groupIdOf(state, spec.directorGroupId) : null;
      const row = await db.prisma.$transaction(async (tx) => {
        const created = await tx.enrollmentToken.create({
          data: {
            id,
            hash: hashOf(secret),
            role: spec.role,
            directorGroupId,
            name: spec.name,
            createdAt: new Date(now()),
            createdBy: call.actor.name,
            expiresAt: new Date(now() + spec.expiresInSeconds * 1000),
          },
        });
        await audit(tx, call, "enrollmentToken.created", id, { role: spec.role, name: spec.name });
        return created;
      });
      await db.tell(newsText({ kind: "enrollmentToken", id }));
      const token = composeToken({ url: publicUrl, id, secret, caSha256: certificates.caSha256 });
      return { ...viewOf(row), token, commands: commandsFor(id, token) };
    },

    async revoke(call, id) {
      const row = await db.prisma.$transaction(async (tx) => {
        const found = await tx.enrollmentToken.findUnique({ where: { id } });
        if (!found) throw new DomainError("resource.notFound", `There is no enrollment token ${id}.`);
        if (found.usedAt) throw new DomainError("token.used", "This enrollment token was used already; revoke its node instead.");
        if (found.revokedAt) return found;
        await audit(tx, call, "enrollmentToken.revoked", id, {});
        return tx.enrollmentToken.update({ where: { id }, data: { revokedAt: new Date(now()) } });
      });
      await db.tell(newsText({ kind: "enrollmentToken", id }));
      return viewOf(row);
    },
  };

  async function touch(id: string, address: string | null, data: Partial<Row>): Promise<void> {
    const contact = { lastContactAt: new Date(now()), lastContactAddress: address };
    const { count } = await db.prisma.enrollmentToken.updateMany({ where: { id }, data: { ...contact, ...data } });
    if (count > 0) await db.tell(newsText({ kind: "enrollmentToken", id }));
  }

  const desk: EnrollmentDesk = {
    scriptFetched: (tokenId, address) =>
      touch(tokenId, address, { scriptFetchedAt: new Date(now()), lastContactMessage: null, preflightFailedAt: null }),

    async progress({ token, stage, message }, address) {
      const row = await usable(token, address);
      const failed = stage === "preflightFailed";
      await touch(row.id, address, {
        preflightFailedAt: failed ? new Date(now()) : null,
        scriptFetchedAt: row.scriptFetchedAt ?? new Date(now()),
        lastContactMessage: message === "" ? null : message,
      });
      if (failed) await audit(db.prisma, deskCall, "enrollmentToken.preflightFailed", row.id, { address, message });
      return { role: row.role as NodeRole, name: row.name };
    },

    async enroll(request, address) {
      const row = await usable(request.token, address);
      const role = row.role as NodeRole;
      const nodeId = newId("node");
      const signed = await certificates.signNode(request.csr, nodeId);
      const name = await store.write(deskCall, async (draft) => {
        const { count } = await draft.tx.enrollmentToken.updateMany({
          where: { id: row.id, usedAt: null, revokedAt: null },
          data: { usedAt: draft.now, nodeId, lastContactAt: draft.now, lastContactAddress: address, lastContactMessage: null },
        });
        if (count === 0) throw new DomainError("token.used", "This enrollment token was used already.");
        const { nextNodeIndex } = await draft.tx.fleet.update({
          where: { singleton: true },
          data: { nextNodeIndex: { increment: 1 } },
          select: { nextNodeIndex: true },
        });
        const unique = uniqueName(draft.state, row.name ?? request.facts.hostname);
        const groupId = role === "director" ? groupIdOf(draft.state, row.directorGroupId) : null;
        draft.putNode({
          id: nodeId,
          name: unique,
          role,
          directorGroupId: groupId,
          index: nextNodeIndex - 1,
          state: "active",
          certSerial: signed.serial,
          certExpiresAt: signed.notAfter,
          certAccepted: [signed.serial],
          facts: request.facts,
          machineId: request.facts.machineId,
          agentVersion: request.agentVersion,
          revision: 1,
          enrolledAt: draft.now,
        });
        const group = groupId === null ? undefined : draft.state.group(groupId);
        if (group && group.activeNodeId === null)
          draft.putGroup({ ...group, activeNodeId: nodeId, revision: group.revision + 1 });
        const after = { name: unique, role, directorGroupId: groupId };
        draft.change({ action: "created", objectKind: "node", objectId: nodeId, objectName: unique, after });
        draft.audit("node.enrolled", nodeId, { name: unique, role, address, tokenId: row.id, serial: signed.serial });
        return unique;
      });
      await db.tell(newsText({ kind: "enrollmentToken", id: row.id }));
      return {
        fleetId: store.state.current.id,
        nodeId,
        name: name ?? request.facts.hostname,
        role,
        certificate: signed.certificate,
        ca: certificates.ca,
        agentUrl,
        consoleUrl: publicUrl,
      };
    },
  };
  return { service, desk };
}

const deskCall: Call = { actor: { kind: "token", name: "enrollment", scopes: [] }, requestId: "" };

/** The group a director joins: the one named, or the only one there is. */
function groupIdOf(state: FleetState, named: string | null): string {
  const groups = state.liveGroups();
  const group = named === null ? (groups.length === 1 ? groups[0] : undefined) : groups.find(({ id }) => id === named);
  if (group) return group.id;
  const [code, detail] =
    named === null
      ? ["group.required", "Say which director group the director joins: there is not exactly one."]
      : ["group.unknown", "There is no such director group."];
  throw new DomainError("input.invalid", detail!, [{ pointer: "/directorGroupId", code: code!, detail: detail! }]);
}

/** A name that no other node has; a host name that is no name becomes one. */
function uniqueName(state: FleetState, wished: string): string {
  const cleaned = wished
    .replace(/[^\p{L}\p{N} ._-]+/gu, "-")
    .replace(/^[^\p{L}\p{N}]+|\s+$/gu, "")
    .slice(0, 60)
    .trim();
  const base = Name.safeParse(cleaned).success ? cleaned : "node";
  const taken = new Set([...state.nodes.values()].filter((node) => node.state === "active").map(({ name }) => name));
  let name = base;
  for (let count = 2; taken.has(name); count++) name = `${base.slice(0, 58)}-${count}`;
  return name;
}
