import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, prepare, startAppliance } from "../../infra/appliance.mjs";
import { handOver } from "./appliance.ts";

const admin = { username: "admin", password: "correct horse battery staple" };

/** Starts the appliance on loopback with an empty database, and stops it after the last test. */
export default async function start(): Promise<() => Promise<void>> {
  await prepare();
  const dataDir = mkdtempSync(join(tmpdir(), "trigon-browser-"));
  chmodSync(dataDir, 0o755); // Postgres runs as another user when we are root
  const appliance = await startAppliance({
    dataDir,
    listen: `127.0.0.1:${await freePort()}`,
    agentListen: `127.0.0.1:${await freePort()}`,
    env: { TRIGON_ADMIN_USER: admin.username, TRIGON_ADMIN_PASSWORD: admin.password },
  });
  handOver({
    consoleUrl: appliance.consoleUrl,
    apiUrl: appliance.apiUrl,
    agentUrl: appliance.agentUrl,
    databaseUrl: appliance.databaseUrl,
    caFile: appliance.caFile,
    admin,
  });
  return async () => {
    await appliance.stop();
    rmSync(dataDir, { recursive: true, force: true });
  };
}
