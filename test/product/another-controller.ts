import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { inject } from "vitest";
import { type Appliance, freePort, startAppliance } from "../../infra/appliance.mjs";
import { RestClient } from "../../infra/demo/rest-client.ts";
import type { TestWorld } from "./use-world.ts";

export interface OtherController {
  appliance: Appliance;
  api: RestClient;
  consolePort: number;
  agentPort: number;
  stop(): Promise<void>;
}

/**
 * Another controller of this machine, as it would run on a second one: its own data folder and ports. Nodes know it by the same names as the
 * first, or by its own (`isApart`).
 */
export async function anotherController(
  world: TestWorld,
  { databaseUrl, env = {}, isApart = false }: { databaseUrl: string; env?: NodeJS.ProcessEnv; isApart?: boolean },
): Promise<OtherController> {
  const dataDir = mkdtempSync(join(tmpdir(), "trigon-controller-"));
  const removeData = () => rmSync(dataDir, { recursive: true, force: true });
  const [consolePort, agentPort] = [await freePort(), await freePort()];
  try {
    const appliance = await startAppliance({
      dataDir,
      databaseUrl,
      listen: `127.0.0.1:${consolePort}`,
      agentListen: `127.0.0.1:${agentPort}`,
      publicUrl: isApart ? `https://controller:${consolePort}` : `https://controller:${new URL(world.consoleUrl).port}`,
      agentUrl: isApart ? `https://controller:${agentPort}` : world.agentUrl,
      certificateNames: ["localhost", "127.0.0.1"],
      web: false,
      env,
    });
    const api = new RestClient(appliance.consoleUrl, appliance.caFile).useToken(inject("world").apiToken);
    const stop = async () => {
      await appliance.stop();
      removeData();
    };
    return { appliance, api, consolePort, agentPort, stop };
  } catch (error) {
    removeData();
    throw error;
  }
}

/** The key that encrypts the appliance's secrets lies in its data folder; replicas share it. */
export const sharedSecret = (world: TestWorld) => ({
  TRIGON_SECRET_KEY_FILE: join(dirname(world.caFile), "secret.key"),
});
