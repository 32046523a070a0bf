import type { ServiceContext } from "../service-context.ts";
import type { Services } from "../services.ts";
import { gateView } from "../views.ts";

/** Admission gates, with the reason each one waits. */
export function gates({ store, sources }: ServiceContext): Services["gates"] {
  return {
    async list(serviceId) {
      const state = await store.refresh();
      const services = serviceId === undefined ? [...state.services.values()] : [state.service(serviceId)];
      return services.flatMap(({ id, gates: own }) => own.map((gate) => ({ ...gateView(sources, gate), serviceId: id })));
    },
  };
}
