import { setTimeout as sleep } from "node:timers/promises";
import { type AddressResource, resourceKey } from "@trigon/model";
import { addressFlag, familyOf, type InterfaceAddress, type Link, linkFlag, type RouteClient } from "@trigon/netlink";
import type { ActionResult, AddressHolder } from "@trigon/reconciler";
import type { ActionOn, Adapter } from "./adapter.ts";
import { announceAddress } from "./announcement.ts";
import { arpHolders } from "./arping.ts";
import { attempt, KernelError } from "./failure.ts";
import { createLimiter } from "./limiter.ts";
import { resolveNeighbour } from "./neighbour.ts";
import { areConnected } from "./path-ends.ts";

type Action = ActionOn<"address">;

/** Kinds of devices that tunnel; an address on one is the tunnel's own. */
const tunnelKinds = new Set(["ipip", "gre", "sit", "ip6tnl", "ip6gre"]);

/** How long a VIP stays on a real server that still has connections by it when it is to leave. */
const farewellMs = 3_000;

const isVipOfServer = ({ purpose }: AddressResource) => purpose === "vipOnLoopback";

/**
 * Addresses of interfaces. A director's VIP is bound only when nobody else answers for it, and announced once it is bound; IPv6 is bound
 * without duplicate address detection, whose false alarm would leave the address dead.
 */
export class AddressAdapter implements Adapter<"address"> {
  readonly kinds = ["address"] as const;
  readonly #client: RouteClient;
  readonly #probes = createLimiter(16);
  readonly #announcements = createLimiter(8);
  readonly #pending = new Set<Promise<void>>();

  constructor(client: RouteClient) {
    this.#client = client;
  }

  async observe(keys: readonly string[]): Promise<AddressResource[]> {
    const wanted = new Set(keys);
    return (await this.observeAll()).filter(({ key }) => wanted.has(key));
  }

  /** Of the interface's own networks too: a VIP may stand in one, put there by hand. */
  async observeAll(): Promise<AddressResource[]> {
    const links = new Map((await this.#client.listLinks()).map((link) => [link.index, link]));
    return (await this.#client.listAddresses()).flatMap((address) => {
      const link = links.get(address.index);
      return link ? [addressResource(link, address)] : [];
    });
  }

  async apply(actions: readonly Action[]): Promise<ActionResult[]> {
    const leaving = actions.flatMap((action) =>
      action.op === "delete" && isVipOfServer(action.from) ? [action.from.address] : [],
    );
    // Without the VIP a connection falls silent: until then what it says makes the director reset the client, which would else wait in vain.
    if (leaving.length > 0 && areConnected(new Set(leaving))) await sleep(farewellMs);
    // All probes at once: a hundred VIPs take no longer than one.
    const probes = actions.map((action) =>
      action.op === "create" && action.to.purpose === "vipOnDirector"
        ? attempt(`probe ${action.to.address}`, () => this.#refuseHeld(action.to))
        : undefined,
    );
    const results: ActionResult[] = [];
    for (const [index, action] of actions.entries()) {
      const probed = await probes[index];
      if (probed && !probed.ok) results.push(probed);
      else results.push(await attempt(`${action.op} ${subject(action).key}`, () => this.#carryOut(action)));
    }
    return results;
  }

  /** Who else answers for the address on that interface's link. Rejects with ENODEV when there is no such interface. */
  async probe(interfaceName: string, address: string): Promise<AddressHolder[]> {
    const links = await this.#client.listLinks();
    const link = links.find(({ name }) => name === interfaceName);
    if (!link) throw new KernelError("ENODEV", `Could not probe ${address}: there is no interface ${interfaceName}`);
    // Nobody can be asked over a link that is down, or that knows no link addresses.
    if (!link.up || !link.mac || (link.flags & (linkFlag.loopback | linkFlag.noArp)) !== 0) return [];
    const macs = await this.#probes(() => holders(link, address));
    const own = new Set(links.map(({ mac }) => mac));
    return macs.filter((mac) => !own.has(mac)).map((mac) => ({ mac }));
  }

  announce(interfaceName: string, address: string): Promise<void> {
    return this.#announcements(() => announceAddress(this.#client, interfaceName, address));
  }

  /** Waits for announcements that nobody waited for. */
  async settle(): Promise<void> {
    await Promise.all(this.#pending);
  }

  async #refuseHeld({ interface: name, address }: AddressResource): Promise<void> {
    const [holder] = await this.probe(name, address);
    if (holder) throw new KernelError("vip.heldElsewhere", `${address} is held by ${holder.mac} on the link of ${name}`);
  }

  async #carryOut(action: Action): Promise<void> {
    const { interface: name, address, prefix, purpose } = subject(action);
    const link = await this.#client.getLink(name);
    if (!link) throw new KernelError("ENODEV", `Could not ${action.op} ${address}/${prefix}: there is no interface ${name}`);
    if (action.op === "delete") return this.#client.deleteAddress({ index: link.index, address, prefix });
    if (action.op === "create") {
      const isV6 = familyOf(address) === "inet6";
      const flags = isV6 ? addressFlag.nodad : 0;
      // Else the kernel would take the VIP as the source of this machine's own packets to its neighbours, whose replies never came (RFC 6724).
      await this.#client.addAddress({ index: link.index, address, prefix, flags, deprecated: isV6 });
    }
    // Not awaited: the address serves already, and the announcement takes a second.
    if (purpose === "vipOnDirector") {
      const pending = this.announce(name, address)
        .catch(() => undefined)
        .finally(() => this.#pending.delete(pending));
      this.#pending.add(pending);
    }
  }
}

async function holders({ index, name }: Link, address: string): Promise<string[]> {
  if (familyOf(address) === "inet6") return resolveNeighbour(index, address);
  try {
    return await arpHolders(name, address);
  } catch {
    return resolveNeighbour(index, address); // the kernel itself can ask as well
  }
}

const subject = (action: Action): AddressResource => (action.op === "delete" ? action.from : action.to);

function addressResource(link: Link, { address, prefix }: InterfaceAddress): AddressResource {
  const isLoopback = (link.flags & linkFlag.loopback) !== 0;
  const purpose = isLoopback ? "vipOnLoopback" : tunnelKinds.has(link.kind ?? "") ? "tunnel" : "vipOnDirector";
  return {
    kind: "address",
    key: resourceKey.address(link.name, address, prefix),
    interface: link.name,
    address,
    prefix,
    purpose,
  };
}
