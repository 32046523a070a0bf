import { resourceKey } from "@trigon/model";
import { type Link, linkFlag, type RouteChange, type RouteClient, RouteMonitor, watchNftables } from "@trigon/netlink";
import type { KernelEvent } from "@trigon/reconciler";

/**
 * rtnetlink notifications as events, on a socket of their own; lost ones come as an event of every scope without keys. Those of nftables
 * too where `isNft` answers that rules are there.
 */
export function watchKernel(
  client: RouteClient,
  isNft: Promise<boolean>,
  onEvent: (event: KernelEvent) => void,
): { close(): void } {
  const monitor = new RouteMonitor();
  const names = new Map<number, string>();
  let isClosed = false;
  const learn = ({ index, name }: Link) => names.set(index, name);
  const everything = () => {
    for (const scope of ["link", "address", "route", "rule"] as const) onEvent({ scope, keys: [] });
  };
  monitor.on("change", (change) => {
    if (change.topic === "link") learn(change.link);
    onEvent({ scope: change.topic, keys: keysOf(change, names), ...(change.topic === "link" && { link: stateOf(change) }) });
    if (change.topic === "link" && change.removed) names.delete(change.link.index);
  });
  monitor.on("lost", everything);
  monitor.on("error", everything);
  // Names of the links that were there before; until they are known, an event of an address has no keys.
  client.listLinks().then(
    (links) => {
      if (!isClosed) for (const link of links) learn(link);
    },
    () => undefined,
  );
  let rules: { close(): void } | undefined;
  isNft.then(
    (is) => {
      if (is && !isClosed) rules = watchNftables(() => onEvent({ scope: "filter", keys: [] }));
    },
    () => undefined,
  );
  return {
    close() {
      isClosed = true;
      rules?.close();
      monitor.close();
    },
  };
}

function stateOf({ link: { name, flags, up }, removed }: Extract<RouteChange, { topic: "link" }>) {
  return { name, isRunning: !removed && up && (flags & linkFlag.running) !== 0 };
}

function keysOf(change: RouteChange, names: ReadonlyMap<number, string>): string[] {
  if (change.topic === "link") return [resourceKey.link(change.link.name), resourceKey.linkState(change.link.name)];
  if (change.topic !== "address") return [];
  const { index, address, prefix } = change.address;
  const name = names.get(index);
  return name === undefined ? [] : [resourceKey.address(name, address, prefix)];
}
