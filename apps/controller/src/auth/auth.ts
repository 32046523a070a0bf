import { hkdfSync } from "node:crypto";
import type { Actor } from "@trigon/api";
import { roleScopes, UserRole } from "@trigon/model";
import { betterAuth } from "better-auth";
import { prismaAdapter } from "better-auth/adapters/prisma";
import { APIError } from "better-auth/api";
import { username } from "better-auth/plugins/username";
import type { Log } from "../log.ts";

/** Set by the front door from the socket, after the client's own header of that name was dropped. */
export const clientAddressHeader = "x-trigon-client-address";

/** The cookie- and password-signing key: the same on every replica, because it comes from the appliance's secret key. */
const signingKey = (secretKey: Uint8Array) =>
  Buffer.from(hkdfSync("sha256", secretKey, "", "trigon sessions", 32)).toString("base64url");

/** Sign-in with username and password; nobody signs up by themselves. `prisma` is the client of `@trigon/db`. */
export function createAuth(options: { prisma: object; secretKey: Uint8Array; publicUrl: string; log: Log }) {
  const { prisma, secretKey, publicUrl, log } = options;
  return betterAuth({
    appName: "Trigon",
    baseURL: publicUrl,
    basePath: "/api/auth",
    secret: signingKey(secretKey),
    telemetry: { enabled: false },
    database: prismaAdapter(prisma, { provider: "postgresql" }),
    // The console answers on every name of its certificate; a page counts as ours when it came from the host that it talks to.
    trustedOrigins: (request) => (request ? [new URL(request.url).origin] : []),
    emailAndPassword: { enabled: true, disableSignUp: true, minPasswordLength: 8, maxPasswordLength: 128 },
    plugins: [username()],
    disabledPaths: [
      "/sign-in/email",
      "/sign-in/social",
      "/sign-up/email",
      "/is-username-available",
      "/change-email",
      "/delete-user",
      // The name is what changes and audit show.
      "/update-user",
    ],
    user: {
      additionalFields: {
        role: { type: "string", required: false, input: false },
        banned: { type: "boolean", required: false, input: false },
      },
    },
    databaseHooks: {
      session: {
        create: {
          before: async ({ userId }, context) => {
            const user = (await context?.context.internalAdapter.findUserById(userId)) as { banned?: boolean | null } | null;
            if (user?.banned) throw new APIError("FORBIDDEN", { code: "USER_DISABLED", message: "This user is disabled." });
          },
        },
      },
    },
    session: { expiresIn: 7 * 24 * 3600, updateAge: 24 * 3600 },
    rateLimit: {
      enabled: true,
      storage: "database",
      window: 60,
      max: 600,
      customRules: { "/sign-in/username": { window: 60, max: 30 } },
    },
    advanced: {
      cookiePrefix: "trigon",
      useSecureCookies: true,
      defaultCookieAttributes: { sameSite: "lax", httpOnly: true, secure: true },
      ipAddress: { ipAddressHeaders: [clientAddressHeader] },
    },
    logger: { level: "warn", log: (level, message, ...rest) => log[level]({ rest: rest.map(String) }, `auth: ${message}`) },
    onAPIError: { throw: true },
  });
}
export type Auth = ReturnType<typeof createAuth>;

/** No role: a user of before there were roles, an administrator. */
interface SessionUser {
  username?: string | null;
  name: string;
  role?: string | null;
  banned?: boolean | null;
}

/** The signed-in person of a request's session cookie, or null. Throws when the database cannot be asked. */
export async function actorOfSession(auth: Auth, headers: Headers): Promise<Actor | null> {
  if (!headers.get("cookie")?.includes("trigon.session_token=")) return null;
  const session = await auth.api.getSession({ headers });
  if (!session) return null;
  const { username: name, name: displayName, role, banned } = session.user as SessionUser;
  // A sign-in that was under way while the user was disabled may have left a session.
  if (banned) return null;
  return { kind: "user", name: name ?? displayName, scopes: roleScopes[UserRole.catch("viewer").parse(role ?? "admin")] };
}
