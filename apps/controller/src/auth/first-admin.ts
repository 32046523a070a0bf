import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Log } from "../log.ts";
import type { Auth } from "./auth.ts";

/**
 * Makes the first administrator when there is no user at all. A password that was not given is made up and left in
 * `first-admin.json` (mode 0600) of the data folder, for the operator to read and remove. Of several replicas one wins.
 */
export async function ensureFirstAdmin(options: {
  auth: Auth;
  admin: { username: string; password: string | null };
  dataDir: string;
  log: Log;
}): Promise<void> {
  const { auth, admin, dataDir, log } = options;
  const { adapter, internalAdapter, password: passwords } = await auth.$context;
  if ((await adapter.count({ model: "user" })) > 0) return;
  const username = admin.username.toLowerCase();
  const password = admin.password ?? randomBytes(15).toString("base64url");
  const hash = await passwords.hash(password);
  // The file comes first: a password that was set but never written would lock everybody out.
  const file = join(dataDir, "first-admin.json");
  if (admin.password === null) await writeFile(file, `${JSON.stringify({ username, password })}\n`, { mode: 0o600 });
  let user: { id: string };
  try {
    user = await internalAdapter.createUser({
      name: username,
      email: `${username}@trigon.invalid`,
      emailVerified: true,
      username,
      displayUsername: username,
    });
  } catch (error) {
    if ((await adapter.count({ model: "user" })) > 0) return;
    throw error;
  }
  await internalAdapter.linkAccount({ userId: user.id, providerId: "credential", accountId: user.id, password: hash });
  log.info({ username, file: admin.password === null ? file : undefined }, "first administrator made");
}
