import { isNetlinkError } from "../errors.ts";
import type { Family } from "../inet.ts";
import type { Message } from "../message.ts";
import { NETLINK_ROUTE, NetlinkSocket, type TransportOptions } from "../transport.ts";
import {
  decodeAddress,
  encodeDeleteAddress,
  encodeListAddresses,
  encodeNewAddress,
  type InterfaceAddress,
  type NewAddress,
} from "./address.ts";
import { CREATE, CREATE_OR_REPLACE, rtm } from "./header.ts";
import {
  decodeLink,
  encodeDeleteLink,
  encodeGetLink,
  encodeListLinks,
  encodeNewLink,
  encodeSetLink,
  type Link,
  type NewLink,
} from "./link.ts";
import { decodeNeighbour, encodeListNeighbours, type Neighbour } from "./neighbour.ts";
import {
  decodeRoute,
  encodeDeleteRoute,
  encodeGetRoute,
  encodeListRoutes,
  encodeNewRoute,
  isCacheEntry,
  type NewRoute,
  type Route,
  type RouteKey,
  type RouteQuery,
} from "./route.ts";
import { decodeRule, encodeDeleteRule, encodeListRules, encodeNewRule, type NewRule, type Rule } from "./rule.ts";

/**
 * Links, addresses, routes, rules and neighbours of this network namespace, one request at a time. Refusals are NetlinkError:
 * EEXIST already there, ENODEV no such link, EADDRNOTAVAIL no such address, ESRCH no such route, ENOENT no such rule.
 */
export class RouteClient {
  readonly #socket: NetlinkSocket;

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  static open(options?: TransportOptions): RouteClient {
    return new RouteClient(NetlinkSocket.open(NETLINK_ROUTE, options));
  }

  close(): void {
    this.#socket.close();
  }

  async listLinks(): Promise<Link[]> {
    return (await this.#socket.dump(encodeListLinks(), "list links")).map(decodeLink);
  }

  /** By name or index; undefined when there is none. */
  async getLink(which: string | number): Promise<Link | undefined> {
    try {
      const [reply] = await this.#socket.request(encodeGetLink(which), `get link ${which}`);
      return reply && decodeLink(reply);
    } catch (error) {
      if (isNetlinkError(error, "ENODEV")) return undefined;
      throw error;
    }
  }

  /** Made down. EOPNOTSUPP when the module of that kind is not there. */
  async createLink(link: NewLink): Promise<void> {
    await this.#socket.request(encodeNewLink(link), `create ${link.kind} link ${link.name}`);
  }

  async setLink(which: string | number, change: { up?: boolean; mtu?: number }): Promise<void> {
    await this.#socket.request(encodeSetLink(which, change), `set link ${which} ${JSON.stringify(change)}`);
  }

  async deleteLink(which: string | number): Promise<void> {
    await this.#socket.request(encodeDeleteLink(which), `delete link ${which}`);
  }

  async listAddresses(filter: { family?: Family; index?: number } = {}): Promise<InterfaceAddress[]> {
    const parts = await this.#socket.dump(encodeListAddresses(filter.family), "list addresses");
    const all = decodeAll(parts, rtm.newAddress, decodeAddress);
    return filter.index === undefined ? all : all.filter(({ index }) => index === filter.index);
  }

  /** EEXIST when the interface has that address with that prefix length. */
  async addAddress(address: NewAddress): Promise<void> {
    await this.#socket.request(
      encodeNewAddress(address, CREATE),
      `add ${address.address}/${address.prefix} to link ${address.index}`,
    );
  }

  async deleteAddress(address: Pick<InterfaceAddress, "index" | "address" | "prefix">): Promise<void> {
    const what = `delete ${address.address}/${address.prefix} from link ${address.index}`;
    await this.#socket.request(encodeDeleteAddress(address), what);
  }

  /** Routes of one table, or of all: `routeTable.main` is what `ip route` shows. */
  async listRoutes(filter: { family?: Family; table?: number } = {}): Promise<Route[]> {
    const parts = await this.#socket.dump(encodeListRoutes(filter.family), "list routes");
    const all = decodeAll(
      parts.filter((part) => !isCacheEntry(part)),
      rtm.newRoute,
      decodeRoute,
    );
    return filter.table === undefined ? all : all.filter(({ table }) => table === filter.table);
  }

  /** The route a packet would take (`ip route get`). ENETUNREACH or EHOSTUNREACH when there is none. */
  async getRoute(query: RouteQuery): Promise<Route | undefined> {
    const [reply] = await this.#socket.request(encodeGetRoute(query), `get route to ${query.destination}`);
    return reply && decodeRoute(reply);
  }

  /** EEXIST when the table has one to that destination with that metric. */
  async addRoute(route: NewRoute): Promise<void> {
    await this.#socket.request(encodeNewRoute(route, CREATE), `add route to ${route.destination}`);
  }

  /** Adds it, or puts it in the place of the one to that destination with that metric. */
  async replaceRoute(route: NewRoute): Promise<void> {
    await this.#socket.request(encodeNewRoute(route, CREATE_OR_REPLACE), `replace route to ${route.destination}`);
  }

  async deleteRoute(route: RouteKey): Promise<void> {
    await this.#socket.request(encodeDeleteRoute(route), `delete route to ${route.destination}`);
  }

  async listRules(family?: Family): Promise<Rule[]> {
    return decodeAll(await this.#socket.dump(encodeListRules(family), "list rules"), rtm.newRule, decodeRule);
  }

  async addRule(rule: NewRule): Promise<void> {
    await this.#socket.request(encodeNewRule(rule, CREATE), `add rule ${rule.priority ?? ""}`.trimEnd());
  }

  async deleteRule(rule: NewRule): Promise<void> {
    await this.#socket.request(encodeDeleteRule(rule), `delete rule ${rule.priority ?? ""}`.trimEnd());
  }

  /** The ARP and neighbour discovery tables. */
  async listNeighbours(filter: { family?: Family; index?: number } = {}): Promise<Neighbour[]> {
    const parts = await this.#socket.dump(encodeListNeighbours(filter.family), "list neighbours");
    const all = decodeAll(parts, rtm.newNeighbour, decodeNeighbour);
    return filter.index === undefined ? all : all.filter(({ index }) => index === filter.index);
  }
}

function decodeAll<T>(parts: readonly Message[], type: number, decode: (message: Message) => T | undefined): T[] {
  return parts.filter((part) => part.type === type).flatMap((part) => decode(part) ?? []);
}
