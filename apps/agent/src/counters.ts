import { type Counters, type Fragment, familyOf, type ReplyCounters, resourceKey, type ServiceCounters } from "@trigon/model";
import type { IpvsCounters, KernelCounters } from "@trigon/reconciler";

const plain = ({ connections, inPackets, outPackets, inBytes, outBytes }: IpvsCounters): Counters => ({
  connections,
  inPackets,
  outPackets,
  inBytes,
  outBytes,
});

/** The kernel's counters in the fleet's terms: by service and real server instead of address and port. Pure. */
export function countersOf(
  kernel: KernelCounters,
  fragments: Iterable<Fragment>,
): { services: ServiceCounters[]; replies: ReplyCounters[] } {
  const services: ServiceCounters[] = [];
  const replies: ReplyCounters[] = [];
  for (const fragment of fragments) {
    if (fragment.kind === "director.service") {
      const key = resourceKey.ipvsService(fragment.protocol, fragment.vip, fragment.port);
      const own = kernel.services.get(key);
      if (!own) continue;
      const destinations = fragment.destinations.flatMap(({ realServerId, rip, port }) => {
        const counters = kernel.destinations.get(resourceKey.ipvsDestination(key, rip, port));
        if (!counters) return [];
        const { active, inactive, persistent, weight } = counters;
        return [{ realServerId, active, inactive, persistent, weight, counters: plain(counters) }];
      });
      services.push({ serviceId: fragment.serviceId, counters: plain(own), destinations });
    } else if (fragment.kind === "realServer.serve") {
      const id = `account:${fragment.serviceId}`;
      const rule = resourceKey.filterRule({ family: familyOf(fragment.vip), table: "mangle", hook: "OUTPUT", id });
      const counted = kernel.rules.get(rule);
      if (counted) replies.push({ serviceId: fragment.serviceId, ...counted });
    }
  }
  return { services, replies };
}
