import type { Forwarding, StatisticsView } from "@trigon/model";
import type { StoredService } from "../fleet-rows.ts";
import type { ServiceContext } from "../service-context.ts";
import type { Services } from "../services.ts";
import { fleetSeries } from "../statistics.ts";

/** What services and the fleet moved, over time. */
export function statistics({ store, statistics: traffic }: ServiceContext): Services["statistics"] {
  const directors = () => [...store.state.nodes.values()].filter(({ role }) => role === "director");
  const directorsOf = (service: StoredService) =>
    directors()
      .filter(({ directorGroupId }) => directorGroupId === service.spec.directorGroupId)
      .map(({ id }) => id);
  return {
    async fleet(range) {
      const state = await store.refresh();
      const rates = await traffic.rates(
        fleetSeries,
        range,
        directors().map(({ id }) => id),
      );
      return { ...rates, outCountedBy: countersOf(state.liveServices()) };
    },
    async service(serviceId, range) {
      const service = (await store.refresh()).service(serviceId);
      return { ...(await traffic.rates(serviceId, range, directorsOf(service))), outCountedBy: countersOf([service]) };
    },
    async sparklines(serviceIds) {
      const state = await store.refresh();
      const wanted = serviceIds.flatMap((id) => {
        const service = state.services.get(id);
        return service && !service.deletedAt ? [[id, directorsOf(service)] as const] : [];
      });
      return traffic.sparklines(new Map(wanted));
    },
    async storage() {
      const state = await store.refresh();
      return traffic.storage(state.liveServices().length, directors().length);
    },
  };
}

const isDirect = (forwarding: Forwarding) => forwarding === "dr" || forwarding === "tun";

/** Who counts what goes to clients: replies of DR and Tunnel never pass a director. */
function countersOf(services: readonly StoredService[]): StatisticsView["outCountedBy"] {
  const direct = new Set(
    services.flatMap(({ spec }) => [
      isDirect(spec.forwarding),
      ...spec.realServers.map(({ forwarding }) => isDirect(forwarding ?? spec.forwarding)),
    ]),
  );
  if (direct.size > 1) return "both";
  return direct.has(true) ? "realServers" : "directors";
}
