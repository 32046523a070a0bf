import { randomBytes } from "node:crypto";
import type { Database, Transaction } from "@trigon/db";
import { DomainError, UserRole, type UserView } from "@trigon/model";
import { audit } from "../record.ts";
import type { Services } from "../services.ts";

type Row = NonNullable<Awaited<ReturnType<Database["prisma"]["user"]["findUnique"]>>>;

/** No role: a user of before there were roles, an administrator. A role of a later release may look only. */
const roleOf = ({ role }: Pick<Row, "role">): UserRole => UserRole.catch("viewer").parse(role ?? "admin");

/** Two writers of users wait for each other, or each could take away the other's last administrator. */
const lockUsers = (tx: Transaction) => tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtext('trigon users'))`;

/** The people who sign in, in the tables that sign-in itself reads. */
export function users(db: Database, now: () => number, hashPassword: (password: string) => Promise<string>): Services["users"] {
  const viewOf = async (tx: Pick<Transaction, "session">, row: Row): Promise<UserView> => ({
    id: row.id,
    username: row.username ?? row.name,
    role: roleOf(row),
    disabled: row.banned === true,
    createdAt: row.createdAt.toISOString(),
    sessions: await tx.session.count({ where: { userId: row.id, expiresAt: { gt: new Date(now()) } } }),
  });
  const found = async (tx: Transaction, id: string) => {
    const row = await tx.user.findUnique({ where: { id } });
    if (!row) throw new DomainError("resource.notFound", `There is no user ${id}.`);
    return row;
  };
  const keepAnAdmin = async (tx: Transaction, row: Row) => {
    if (roleOf(row) !== "admin" || row.banned) return;
    const others = await tx.user.findMany({ where: { id: { not: row.id }, OR: [{ banned: null }, { banned: false }] } });
    if (!others.some((other) => roleOf(other) === "admin")) {
      throw new DomainError("resource.inUse", "This is the last administrator: make another one first.");
    }
  };

  return {
    async list() {
      const rows = await db.prisma.user.findMany({ orderBy: [{ createdAt: "asc" }, { id: "asc" }] });
      return { data: await Promise.all(rows.map((row) => viewOf(db.prisma, row))) };
    },

    async create(call, { username, role, password }) {
      const hash = await hashPassword(password);
      return db.prisma.$transaction(async (tx) => {
        await lockUsers(tx);
        if (await tx.user.findUnique({ where: { username } })) {
          throw new DomainError("resource.exists", `There is a user ${username} already.`);
        }
        const id = randomBytes(18).toString("base64url");
        const row = await tx.user.create({
          data: {
            id,
            name: username,
            email: `${username}@trigon.invalid`,
            emailVerified: true,
            username,
            displayUsername: username,
            role,
            accounts: {
              create: { id: randomBytes(18).toString("base64url"), accountId: id, providerId: "credential", password: hash },
            },
          },
        });
        await audit(tx, call, "user.created", id, { name: username, role });
        return viewOf(tx, row);
      });
    },

    async patch(call, id, { role, disabled, password }) {
      const hash = password === undefined ? undefined : await hashPassword(password);
      return db.prisma.$transaction(async (tx) => {
        await lockUsers(tx);
        const before = await found(tx, id);
        const name = before.username ?? before.name;
        if (disabled || (role !== undefined && role !== "admin")) await keepAnAdmin(tx, before);
        if (role !== undefined && role !== roleOf(before)) {
          await audit(tx, call, "user.roleChanged", id, { name, from: roleOf(before), to: role });
        }
        if (disabled !== undefined && disabled !== (before.banned === true)) {
          await audit(tx, call, disabled ? "user.disabled" : "user.enabled", id, { name });
        }
        if (hash !== undefined) {
          await tx.account.updateMany({ where: { userId: id, providerId: "credential" }, data: { password: hash } });
          await audit(tx, call, "user.passwordReset", id, { name });
        }
        const row = await tx.user.update({ where: { id }, data: { role, banned: disabled } });
        if (disabled || hash !== undefined) await tx.session.deleteMany({ where: { userId: id } });
        return viewOf(tx, row);
      });
    },

    async remove(call, id) {
      await db.prisma.$transaction(async (tx) => {
        await lockUsers(tx);
        const row = await found(tx, id);
        await keepAnAdmin(tx, row);
        await tx.user.delete({ where: { id } });
        await audit(tx, call, "user.deleted", id, { name: row.username ?? row.name });
      });
    },
  };
}
