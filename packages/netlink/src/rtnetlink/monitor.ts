import { EventEmitter } from "node:events";
import { constants } from "node:os";
import { parseMessages } from "../message.ts";
import { NETLINK_ROUTE, openRawSocket } from "../transport.ts";
import { decodeAddress, type InterfaceAddress } from "./address.ts";
import { rtm } from "./header.ts";
import { decodeLink, type Link } from "./link.ts";
import { decodeRoute, type Route } from "./route.ts";
import { decodeRule, type Rule } from "./rule.ts";

/** RTNLGRP_* of <linux/rtnetlink.h>. */
const groups = {
  link: [1],
  address: [5, 9],
  route: [7, 11],
  rule: [8, 19],
} as const;
export type MonitorTopic = keyof typeof groups;

/** `removed` tells whether the thing is gone; otherwise it is new or has changed. */
export type RouteChange =
  | { topic: "link"; removed: boolean; link: Link }
  | { topic: "address"; removed: boolean; address: InterfaceAddress }
  | { topic: "route"; removed: boolean; route: Route }
  | { topic: "rule"; removed: boolean; rule: Rule };

interface MonitorEvents {
  change: [change: RouteChange];
  /** Notifications came faster than they were read and some are gone: list everything again. */
  lost: [];
  error: [error: Error];
}

/**
 * Notifications of this network namespace, on a socket of their own. They say that something changed, not by whom: our own
 * changes come back too. The kernel announces no change of the `arp_*` sysctls.
 */
export class RouteMonitor extends EventEmitter<MonitorEvents> {
  readonly #raw: ReturnType<typeof openRawSocket>;

  constructor(topics: readonly MonitorTopic[] = ["link", "address", "route", "rule"]) {
    super();
    this.#raw = openRawSocket(NETLINK_ROUTE);
    this.#raw.on("message", (bytes, { port }) => {
      if (port === 0) this.#receive(bytes);
    });
    this.#raw.on("error", (error) => {
      if (error.errno === constants.errno.ENOBUFS) this.emit("lost");
      else this.emit("error", error);
    });
    for (const topic of topics) for (const group of groups[topic]) this.#raw.addMembership(group);
  }

  close(): void {
    this.#raw.close();
    this.removeAllListeners();
  }

  #receive(bytes: Buffer): void {
    let changes: RouteChange[];
    try {
      changes = parseMessages(bytes).flatMap((message) => decodeChange(message) ?? []);
    } catch (error) {
      this.emit("error", error as Error);
      return;
    }
    for (const change of changes) this.emit("change", change);
  }
}

/** What a notification says; undefined for what nobody asked about. */
export function decodeChange(message: Parameters<typeof decodeLink>[0]): RouteChange | undefined {
  switch (message.type) {
    case rtm.newLink:
    case rtm.delLink:
      return { topic: "link", removed: message.type === rtm.delLink, link: decodeLink(message) };
    case rtm.newAddress:
    case rtm.delAddress: {
      const address = decodeAddress(message);
      return address && { topic: "address", removed: message.type === rtm.delAddress, address };
    }
    case rtm.newRoute:
    case rtm.delRoute: {
      const route = decodeRoute(message);
      return route && { topic: "route", removed: message.type === rtm.delRoute, route };
    }
    case rtm.newRule:
    case rtm.delRule: {
      const rule = decodeRule(message);
      return rule && { topic: "rule", removed: message.type === rtm.delRule, rule };
    }
    default:
      return undefined;
  }
}
