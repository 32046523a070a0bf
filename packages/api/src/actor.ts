import { DomainError, type Guard, type Scope } from "@trigon/model";

/** Who asks: a signed-in person, or a program with an API token. `name` is what changes and audit show. */
export interface Actor {
  kind: "user" | "token";
  name: string;
  scopes: readonly Scope[];
}

/** What every use case is told about its caller. */
export interface Call {
  actor: Actor;
  requestId: string;
  /** The changes that it makes are taken back unless they are kept in time. */
  guard?: Guard;
}

/** The scopes of a signed-in administrator: all of them. */
export const everyScope: readonly Scope[] = ["read", "virtual-service:write", "node:write", "node:enroll", "audit:read", "admin"];

/** Throws `auth.forbidden` unless the actor holds `scope` or `admin`. Any write scope implies `read`. */
export function authorise(actor: Actor, scope: Scope): void {
  const held = actor.scopes;
  if (held.includes("admin") || held.includes(scope)) return;
  if (scope === "read" && held.some((one) => one.endsWith(":write"))) return;
  throw new DomainError("auth.forbidden", `This needs the scope "${scope}".`);
}
