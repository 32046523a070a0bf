import { Lab, until } from "@trigon/lab";
import type { NodeView, VirtualServiceInput, VirtualServiceView } from "@trigon/model";
import { afterAll, beforeAll, inject } from "vitest";
import { RestClient } from "../../infra/demo/rest-client.ts";

export interface TestWorld {
  lab: Lab;
  /** The REST API with an administrator's token. */
  api: RestClient;
  caFile: string;
  consoleUrl: string;
  agentUrl: string;
  databaseUrl: string;
  admin: { username: string; password: string };
  controllerPid: number;
  postgresPid: number;
}

/**
 * The product that all scenario files share, one after the other. Every virtual service that a file leaves behind is deleted after it, and the
 * next file begins when every node has done so.
 */
export function useWorld(): TestWorld {
  const world = {} as TestWorld;
  beforeAll(async () => {
    const { labState, consoleUrl, caFile, apiToken, ...rest } = inject("world");
    Object.assign(world, rest, {
      consoleUrl,
      caFile,
      lab: await Lab.attach(labState),
      api: new RestClient(consoleUrl, caFile).useToken(apiToken),
    });
  });
  afterAll(async () => {
    await deleteAllServices(world.api);
    await allSettled(world.api);
    await world.lab?.detach();
  });
  return world;
}

export async function deleteAllServices(api: RestClient): Promise<void> {
  const { data } = await api.call<{ data: VirtualServiceView[] }>("GET", "/virtual-services?limit=500");
  for (const { id } of data) await deleteService(api, id);
}

/** Waits until every node that is connected holds what it should, and nothing else of ours. */
export async function allSettled(api: RestClient): Promise<void> {
  let waitingFor: unknown;
  const isSettled = async () => {
    const { data } = await api.call<{ data: NodeView[] }>("GET", "/nodes?limit=100");
    waitingFor = data
      .filter(
        ({ isConnected, generation, sync }) =>
          isConnected && ((generation.applied ?? 0) < generation.wanted || sync.state !== "inSync"),
      )
      .map(({ name, generation, sync }) => ({ name, generation, sync }));
    return (waitingFor as []).length === 0;
  };
  await until("every node to be settled", isSettled, { deadlineMs: 200_000, everyMs: 250 }).catch((error) => {
    throw new Error(`${error.message}; waiting for ${JSON.stringify(waitingFor)}`);
  });
}

export async function deleteService(api: RestClient, id: string): Promise<void> {
  await api.call("DELETE", `/virtual-services/${id}`, undefined, await ifMatch(api, `/virtual-services/${id}`));
}

/** Changes some fields of a virtual service, as it is now. */
export async function patchService(
  api: RestClient,
  id: string,
  patch: Partial<VirtualServiceInput>,
): Promise<VirtualServiceView> {
  const path = `/virtual-services/${id}`;
  return api.call("PATCH", path, patch, await ifMatch(api, path));
}

/** The condition that a write carries: the revision that a read just answered. */
export async function ifMatch(api: RestClient, path: string): Promise<{ "if-match": string }> {
  const { headers } = await api.send("GET", `/api/v1${path}`);
  return { "if-match": headers.etag ?? "*" };
}
