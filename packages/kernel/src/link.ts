import { type LinkResource, type LinkStateResource, resourceKey } from "@trigon/model";
import type { Link, RouteClient } from "@trigon/netlink";
import type { ActionResult } from "@trigon/reconciler";
import type { ActionOn, Adapter } from "./adapter.ts";
import { attempt, done } from "./failure.ts";

/** Hops that an outer packet may take: the kernel's own default for packets it sends (RFC 1700). */
const OUTER_TTL = 64;

/** Tunnel devices with both ends named. Fallback devices (tunl0, gre0) have neither end and are not seen here. */
export class LinkAdapter implements Adapter<"link"> {
  readonly kinds = ["link"] as const;
  readonly #client: RouteClient;

  constructor(client: RouteClient) {
    this.#client = client;
  }

  async observe(keys: readonly string[]): Promise<LinkResource[]> {
    const wanted = new Set(keys);
    return (await this.observeAll()).filter(({ key }) => wanted.has(key));
  }

  async observeAll(): Promise<LinkResource[]> {
    return (await this.#client.listLinks()).flatMap((link) => linkResource(link) ?? []);
  }

  async apply(actions: readonly ActionOn<"link">[]): Promise<ActionResult[]> {
    const results: ActionResult[] = [];
    for (const action of actions) {
      const name = action.op === "delete" ? action.from.name : action.to.name;
      results.push(
        await attempt(`${action.op} link ${name}`, async () => {
          // The ends of a tunnel cannot be changed without the old ones being in force meanwhile: replace it.
          if (action.op !== "create") await this.#client.deleteLink(action.from.name);
          if (action.op !== "delete") await this.#create(action.to);
        }),
      );
    }
    return results;
  }

  #create({ name, type, local, remote }: LinkResource): Promise<void> {
    return this.#client.createLink({ name, kind: type, tunnel: { local, remote, ttl: OUTER_TTL, pmtuDiscovery: true } });
  }
}

function linkResource({ name, kind, tunnel }: Link): LinkResource | undefined {
  if ((kind !== "ipip" && kind !== "gre") || !tunnel?.local || !tunnel.remote) return undefined;
  return { kind: "link", key: resourceKey.link(name), name, type: kind, local: tunnel.local, remote: tunnel.remote };
}

/** Whether a device is up: a setting, put back by `restore`. */
export class LinkStateAdapter implements Adapter<"linkState"> {
  readonly kinds = ["linkState"] as const;
  readonly #client: RouteClient;

  constructor(client: RouteClient) {
    this.#client = client;
  }

  async observe(keys: readonly string[]): Promise<LinkStateResource[]> {
    const wanted = new Set(keys);
    return (await this.observeAll()).filter(({ key }) => wanted.has(key));
  }

  async observeAll(): Promise<LinkStateResource[]> {
    return (await this.#client.listLinks()).map(({ name, up }) => ({
      kind: "linkState",
      key: resourceKey.linkState(name),
      name,
      up,
    }));
  }

  async apply(actions: readonly ActionOn<"linkState">[]): Promise<ActionResult[]> {
    const results: ActionResult[] = [];
    for (const action of actions) {
      if (action.op === "delete") results.push(done);
      else results.push(await attempt(`set link ${action.to.name}`, () => this.#set(action.to)));
    }
    return results;
  }

  async isUp(name: string): Promise<boolean | undefined> {
    return (await this.#client.getLink(name))?.up;
  }

  /** Answers whether the device still was as we had set it. */
  async restore({ name, up }: LinkStateResource, value: string | null): Promise<boolean> {
    if (value === null || (await this.isUp(name)) !== up) return false;
    await this.#client.setLink(name, { up: value === "up" });
    return true;
  }

  async #set({ name, up, ifPresent }: LinkStateResource): Promise<void> {
    if (ifPresent && !(await this.#client.getLink(name))) return;
    await this.#client.setLink(name, { up });
  }
}
