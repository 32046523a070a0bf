import { rmSync } from "node:fs";
import { join } from "node:path";
import { isAnswering, Lab, management, stateFolder, until } from "@trigon/lab";
import type { EnrollmentTokenCreated, NodeRole, NodeView, VirtualServiceInput, VirtualServiceView } from "@trigon/model";
import type { z } from "zod";
import { type Appliance, freePort, root, startAppliance } from "../appliance.mjs";
import { RestClient } from "./rest-client.ts";
import { demoNodes, demoServices } from "./services.ts";

export interface WorldOptions {
  /** Names the state folder `.trigon/<name>` and the lab. Its data is made anew each time. */
  name: string;
  /** Console port; without it, any free one. */
  port?: number;
  web?: boolean;
  onStep?: (text: string) => void;
}

/** The whole product on one machine: the appliance, and a lab whose hosts reach it as `controller`. */
export interface World {
  appliance: Appliance;
  lab: Lab;
  /** The REST API with an administrator's token. */
  api: RestClient;
  apiToken: string;
  stop(): Promise<void>;
}

/** Starts appliance and lab side by side. Everything it started is gone after `stop`, or when this process dies. */
export async function startWorld({ name, port, web = true, onStep = () => {} }: WorldOptions): Promise<World> {
  if (await isAnswering(stateFolder(name)))
    throw new Error(
      `“${name}” runs already: end it with Ctrl-C where it was started, or with npm run lab -- down --name ${name}`,
    );
  const dataDir = join(root, ".trigon", name);
  rmSync(dataDir, { recursive: true, force: true });
  const consolePort = port ?? (await freePort());
  const agentPort = await freePort();
  const stops: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (const one of stops.splice(0).reverse()) await one();
  };
  try {
    onStep("starting the appliance and the lab");
    const starting = await Promise.allSettled([
      startAppliance({
        dataDir,
        listen: `127.0.0.1:${consolePort}`,
        agentListen: `127.0.0.1:${agentPort}`,
        publicUrl: `https://controller:${consolePort}`,
        agentUrl: `https://controller:${agentPort}`,
        certificateNames: ["localhost", "127.0.0.1", management.gateway],
        web,
        onStep,
      }),
      Lab.up({
        name,
        forwards: { [consolePort]: { port: consolePort }, [agentPort]: { port: agentPort } },
        onProgress: (line) => /engine|READY/.test(line) && onStep(`lab: ${line}`),
      }),
    ]);
    const [appliance, lab] = starting;
    if (appliance.status === "fulfilled") stops.push(() => appliance.value.stop());
    if (lab.status === "fulfilled") stops.push(() => lab.value.down());
    if (appliance.status === "rejected") throw appliance.reason;
    if (lab.status === "rejected") throw lab.reason;
    const { api, apiToken } = await administrator(appliance.value);
    return { appliance: appliance.value, lab: lab.value, api, apiToken, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What another process needs to use a running world: plain data. */
export function attachable({ appliance, lab, apiToken }: World) {
  const { consoleUrl, caFile, agentUrl, databaseUrl, admin } = appliance;
  return {
    labState: lab.state,
    consoleUrl,
    caFile,
    agentUrl,
    databaseUrl,
    admin,
    apiToken,
    controllerPid: appliance.controllerPid,
    postgresPid: appliance.postgresPid() ?? 0,
  };
}

/** Signs in as the first administrator and makes an API token, as an operator would. */
export async function administrator({ consoleUrl, caFile, admin }: Appliance): Promise<{ api: RestClient; apiToken: string }> {
  if (admin.password === null) throw new Error("the administrator's password is not known");
  const session = await new RestClient(consoleUrl, caFile).signIn(admin.username, admin.password);
  const { token } = await session.call<{ token: string }>("POST", "/api-tokens", {
    name: "demo",
    scopes: ["admin"],
    expiresInDays: 7,
  });
  return { api: new RestClient(consoleUrl, caFile).useToken(token), apiToken: token };
}

/** Enrolls one lab host by the very line that the console shows; answers the installer's output. */
export async function enroll({ lab, api }: Pick<World, "lab" | "api">, host: string, role: NodeRole): Promise<string> {
  const created = await api.call<z.infer<typeof EnrollmentTokenCreated>>("POST", "/enrollment-tokens", { role, name: host });
  // Lab hosts are root and have no sudo; the rest of the line is used as it is.
  const line = created.commands.curl.replace("sudo sh", "sh");
  return lab.host(host).sh(line, { timeoutMs: 120_000 });
}

/**
 * Enrolls every node of the demo and waits until each is connected. One director comes first, since the first holds the VIPs; the others a
 * few at a time.
 */
export async function enrollAll(world: Pick<World, "lab" | "api">, onStep: (text: string) => void = () => {}): Promise<void> {
  const [first, ...waiting] = demoNodes;
  const enrollOne = async ({ host, role }: (typeof demoNodes)[number]) => {
    onStep(`enrolling ${host} (${role === "director" ? "director" : "real server"})`);
    await enroll(world, host, role);
  };
  const enrollRest = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) await enrollOne(next);
  };
  await enrollOne(first!);
  await Promise.all(Array.from({ length: 3 }, enrollRest));
  await until(
    "every node to be connected",
    async () => {
      const { data } = await world.api.call<{ data: NodeView[] }>("GET", "/nodes");
      return data.length >= demoNodes.length && data.every((node) => node.isConnected);
    },
    { deadlineMs: 60_000, everyMs: 100 },
  );
}

/** Creates a virtual service and waits until every node holds what it should. */
export async function createService(api: RestClient, input: VirtualServiceInput): Promise<VirtualServiceView> {
  const { id } = await api.call<VirtualServiceView>("POST", "/virtual-services", input);
  return inSync(api, id);
}

/** Waits until a service is in sync with every destination admitted, and answers it. */
export async function inSync(api: RestClient, id: string, deadlineMs = 150_000): Promise<VirtualServiceView> {
  let last: VirtualServiceView | undefined;
  try {
    return await until(
      `virtual service ${id} to be in sync`,
      async () => {
        last = await api.call<VirtualServiceView>("GET", `/virtual-services/${id}`);
        const { sync, gates } = last.status;
        return sync.state === "inSync" && gates.every((gate) => gate.state === "open") ? last : undefined;
      },
      { deadlineMs, everyMs: 50 },
    );
  } catch (error) {
    throw new Error(`${(error as Error).message}; it is ${JSON.stringify(last?.status)}`, { cause: error });
  }
}

/** The demo's four services, one per forwarding. */
export async function createDemoServices(api: RestClient): Promise<VirtualServiceView[]> {
  return Promise.all(demoServices.map((service) => createService(api, service)));
}
