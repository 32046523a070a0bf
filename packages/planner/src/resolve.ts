import { type Facts, type Fragment, type Resource, type ServiceHealth, unreachable } from "@trigon/model";
import { directorGroup } from "./director-group.ts";
import { directorService } from "./director-service.ts";
import { directorVip } from "./director-vip.ts";
import { realServer } from "./real-server.ts";

/**
 * What one fragment means on this node, here and now. Pure. Throws `ResolveError` when the node cannot carry it out. `health` is what checks
 * mean for a director's service; left out, every real server is well.
 */
export function resolveFragment(fragment: Fragment, facts: Facts, health?: ServiceHealth): Resource[] {
  switch (fragment.kind) {
    case "director.service":
      return directorService(fragment, facts, health);
    case "director.vip":
      return directorVip(fragment, facts);
    case "director.group":
      return directorGroup(fragment, facts);
    case "realServer.serve":
      return realServer(fragment, facts);
    default:
      return unreachable(fragment);
  }
}

/** The resources of a whole plan, each key once. Who wins a key that two fragments want differently is the reconciler's business. */
export function resolve(fragments: readonly Fragment[], facts: Facts): Resource[] {
  const byKey = new Map<string, Resource>();
  for (const fragment of fragments) {
    for (const resource of resolveFragment(fragment, facts)) if (!byKey.has(resource.key)) byKey.set(resource.key, resource);
  }
  return [...byKey.values()];
}
