import { type FouPortResource, resourceKey } from "@trigon/model";
import { FouClient, type FouPort, isNetlinkError } from "@trigon/netlink";
import type { ActionResult } from "@trigon/reconciler";
import type { ActionOn, Adapter } from "./adapter.ts";
import { attempt, KernelError } from "./failure.ts";
import { isLoaded } from "./module.ts";

/** UDP ports that the kernel unwraps as GUE (`ip fou`). The kernel opens them for one family each: ours are of IPv4, as Tunnel is. */
export class FouPortAdapter implements Adapter<"fouPort"> {
  readonly kinds = ["fouPort"] as const;

  async observe(keys: readonly string[]): Promise<FouPortResource[]> {
    const wanted = new Set(keys);
    return (await this.observeAll()).filter(({ key }) => wanted.has(key));
  }

  async observeAll(): Promise<FouPortResource[]> {
    const ports = (await withClient((client) => client.list())) ?? [];
    return ports.filter(isOurKind).map(({ port }) => ({ kind: "fouPort", key: resourceKey.fouPort(port), port }));
  }

  async apply(actions: readonly ActionOn<"fouPort">[]): Promise<ActionResult[]> {
    const results: ActionResult[] = [];
    for (const action of actions) {
      const { port } = action.op === "delete" ? action.from : action.to;
      const carriedOut = async () => {
        const isThere = await withClient(async (client) => {
          if (action.op === "delete") await client.delete({ family: "inet", port });
          else await client.add({ family: "inet", port, type: "gue" });
          return true;
        });
        if (!isThere) throw new KernelError("ENOENT", `Could not ${action.op} GUE port ${port}: module fou is not loaded`);
      };
      results.push(await attempt(`${action.op} GUE port ${port}`, carriedOut));
    }
    return results;
  }
}

const isOurKind = ({ family, type }: FouPort) => family === "inet" && type === "gue";

/**
 * Undefined while the kernel has no fou: to look for its family would load it on a machine that has no use for it. The family's number is
 * looked up anew each time: the module may have gone and come again.
 */
async function withClient<T>(use: (client: FouClient) => Promise<T>): Promise<T | undefined> {
  if (!isLoaded("fou")) return undefined;
  let client: FouClient;
  try {
    client = await FouClient.open();
  } catch (error) {
    if (isNetlinkError(error, "ENOENT")) return undefined;
    throw error;
  }
  try {
    return await use(client);
  } finally {
    client.close();
  }
}
