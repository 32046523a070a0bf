import type { Actor } from "@trigon/api";
import { DomainError } from "@trigon/model";
import { type Auth, actorOfSession } from "../auth/auth.ts";
import { isSameOrigin } from "./same-origin.ts";

/** Tells who asks, by API token or by session cookie. */
export type Identify = (request: Request) => Promise<Actor>;

/**
 * A bearer token counts before a cookie. Throws `auth.required`, the token's own refusal, `auth.forbidden` for another site's page, or
 * `service.unavailable` when the database cannot say.
 */
export function createIdentify(auth: Auth, actorOfToken: (token: string) => Promise<Actor>): Identify {
  return async (request) => {
    const authorization = request.headers.get("authorization");
    if (authorization !== null) {
      const token = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
      if (!token) throw new DomainError("token.invalid", "Send `Authorization: Bearer trg_pat_…`.");
      return actorOfToken(token);
    }
    let actor: Actor | null;
    try {
      actor = await actorOfSession(auth, request.headers);
    } catch (cause) {
      throw new DomainError("service.unavailable", "Sessions cannot be read just now; try again.", [], { cause });
    }
    if (!actor) throw new DomainError("auth.required", "Sign in, or send an API token as `Authorization: Bearer trg_pat_…`.");
    if (!isSameOrigin(request)) throw new DomainError("auth.forbidden", "This request comes from another site's page.");
    return actor;
  };
}
