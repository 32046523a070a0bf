import { randomBytes } from "node:crypto";
import { rename, rm, writeFile } from "node:fs/promises";
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
  // Written before the user is made: a password that was set but never written would lock everybody out.
  const file = join(dataDir, "first-admin.json");
  const draft = `${file}.${randomBytes(6).toString("hex")}`;
  if (admin.password === null) await writeFile(draft, `${JSON.stringify({ username, password })}\n`, { mode: 0o600 });
  try {
    const user = await internalAdapter.createUser(
      { name: username, email: `${username}@trigon.invalid`, emailVerified: true, username, displayUsername: username },
      { method: "admin" },
    );
    await internalAdapter.linkAccount({ userId: user.id, providerId: "credential", accountId: user.id, password: hash });
  } catch (error) {
    await rm(draft, { force: true });
    // Another replica was quicker.
    if ((await adapter.count({ model: "user" })) > 0) return;
    throw error;
  }
  if (admin.password === null) await rename(draft, file);
  log.info({ username, file: admin.password === null ? file : undefined }, "first administrator made");
}
