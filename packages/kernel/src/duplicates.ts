import { closeSync, constants, openSync, readSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { inNetwork } from "@trigon/model";
import { familyOf, type Link, linkFlag, NETLINK_ROUTE, NetlinkSocket, RouteClient } from "@trigon/netlink";
import type { BoundAddress } from "@trigon/reconciler";
import { arpHolders } from "./arping.ts";
import { createLimiter } from "./limiter.ts";
import { askForNeighbour, forgetNeighbour } from "./neighbour.ts";

/** How long answers may take: everybody is asked at once. */
const waitMs = 500;

/**
 * Who else answers for addresses that this node holds itself. One round for all of them, by the kernel's own neighbour resolution: no program
 * starts but for an IPv4 address outside of the networks of its interface, for which the kernel would ask in that address's own name.
 */
export class DuplicateSearch {
  readonly #client: RouteClient;
  readonly #arping = createLimiter(4);
  #log: KernelLog | undefined;

  constructor(client: RouteClient) {
    this.#client = client;
  }

  /** Link addresses by address; those that nobody else holds are left out. */
  async search(bound: readonly BoundAddress[]): Promise<Map<string, string[]>> {
    const links = await this.#client.listLinks();
    const own = new Set(links.map(({ mac }) => mac));
    const byName = new Map(links.filter(canAsk).map((link) => [link.name, link]));
    const networks = await this.#client.listAddresses();
    const asked = bound.flatMap((one) => {
      const link = byName.get(one.interface);
      return link ? { ...one, index: link.index, family: familyOf(one.address) } : [];
    });
    const isOnLink = ({ index, address }: (typeof asked)[number]) =>
      networks.some((one) => one.index === index && one.address !== address && inNetwork(address, one.address, one.prefix));
    const alone = asked.filter((one) => one.family === "inet" && !isOnLink(one));
    const inTurn = asked.filter((one) => !alone.includes(one));
    if (asked.some(({ family }) => family === "inet6")) this.#log ??= KernelLog.open();
    this.#log?.read(); // what it said before

    const found = new Map<string, Set<string>>();
    const note = (address: string, mac: string) => {
      if (!own.has(mac)) found.set(address, (found.get(address) ?? new Set()).add(mac));
    };
    await Promise.all([
      this.#askKernel(inTurn, note),
      ...alone.map(({ interface: name, address }) =>
        this.#arping(async () => {
          for (const mac of await arpHolders(name, address).catch(() => [])) note(address, mac);
        }),
      ),
    ]);
    const addresses = new Set(asked.map(({ address }) => address));
    for (const { address, mac } of this.#log?.read() ?? []) if (addresses.has(address)) note(address, mac);
    return new Map([...found].map(([address, macs]) => [address, [...macs].sort()]));
  }

  close(): void {
    this.#log?.close();
  }

  async #askKernel(asked: readonly { index: number; address: string }[], note: (address: string, mac: string) => void) {
    if (asked.length === 0) return;
    const socket = NetlinkSocket.open(NETLINK_ROUTE);
    const client = new RouteClient(socket);
    try {
      for (const { index, address } of asked) {
        await forgetNeighbour(socket, index, address);
        await askForNeighbour(socket, index, address);
      }
      await sleep(waitMs);
      const wanted = new Set(asked.map(({ index, address }) => `${index} ${address}`));
      for (const { index, address, mac, state } of await client.listNeighbours({}))
        if (mac && state !== "failed" && wanted.has(`${index} ${address}`)) note(address, mac);
    } finally {
      for (const { index, address } of asked) await forgetNeighbour(socket, index, address);
      client.close();
    }
  }
}

/** Nobody can be asked over a link that is down, or that knows no link addresses. */
const canAsk = ({ up, mac, flags }: Link) => up && mac && (flags & (linkFlag.loopback | linkFlag.noArp)) === 0;

/** As net/ipv6/ndisc.c says it: the kernel takes no neighbour advertisement for an address of its own, but writes down who sent one. */
const advertised = /ICMPv6: NA: ((?:[0-9a-f]{2}:){5}[0-9a-f]{2}) advertised our address ([0-9a-f:]+)/;

/** Advertisements in a record of /dev/kmsg. */
export function advertisementIn(record: string): { address: string; mac: string } | undefined {
  const [, mac, address] = advertised.exec(record) ?? [];
  return mac && address ? { mac, address } : undefined;
}

/** The kernel's log, from the moment it was opened. */
class KernelLog {
  readonly #file: number;
  readonly #record = Buffer.alloc(8192);

  private constructor(file: number) {
    this.#file = file;
  }

  /** Undefined where it cannot be read: then duplicates of IPv6 addresses are found at bind only. */
  static open(): KernelLog | undefined {
    try {
      return new KernelLog(openSync("/dev/kmsg", constants.O_RDONLY | constants.O_NONBLOCK));
    } catch {
      return undefined;
    }
  }

  /** What it said of our addresses since the last call. */
  read(): { address: string; mac: string }[] {
    const found: { address: string; mac: string }[] = [];
    for (;;) {
      try {
        const length = readSync(this.#file, this.#record);
        if (length === 0) return found;
        const advertisement = advertisementIn(this.#record.toString("utf8", 0, length));
        if (advertisement) found.push(advertisement);
      } catch (error) {
        // EPIPE: records were overwritten before they were read; the next read goes on after them.
        if ((error as NodeJS.ErrnoException).code !== "EPIPE") return found;
      }
    }
  }

  close(): void {
    closeSync(this.#file);
  }
}
