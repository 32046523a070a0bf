import type { OverviewView } from "@trigon/model";
import type { ServiceContext } from "../service-context.ts";
import type { Services } from "../services.ts";
import { healthView, nodeView, syncOf } from "../views.ts";

const calm = new Set(["inSync", "disabled", "applying"]);
const problemsMost = 100;

/** Is anything wrong? */
export function overview({ store, live, sources }: ServiceContext): Services["overview"] {
  return {
    async get() {
      const state = await store.refresh();
      const services = state.liveServices().map((service) => ({ service, sync: syncOf(sources, service) }));
      const nodes = [...state.nodes.values()].filter((node) => node.state === "active" || node.state === "quarantined");
      const problems: OverviewView["problems"] = [];
      const { id, epoch, sequence, observeOnly } = state.current;
      if (observeOnly) {
        const message = "The database is older than what nodes hold: confirm it before anything is changed.";
        problems.push({ kind: "fleet.observeOnly", objectId: id, objectName: "fleet", message });
      }
      for (const node of nodes) {
        const { sync } = nodeView(sources, node);
        const name = { objectId: node.id, objectName: node.name };
        if (node.state === "quarantined") {
          problems.push({ kind: "node.quarantined", ...name, message: `${node.name}: two machines use one certificate.` });
        } else if (!live.isConnected(node.id)) {
          problems.push({ kind: "node.disconnected", ...name, message: `${node.name} is not connected.` });
        } else if (!calm.has(sync.state)) problems.push({ kind: `node.${sync.state}`, ...name, message: sync.message });
      }
      for (const { service } of services) {
        const health = healthView(sources, service);
        if (!health || health.mode === "normal") continue;
        const name = { objectId: service.id, objectName: service.spec.name };
        const message =
          health.mode === "failOpen"
            ? `Too few real servers of ${service.spec.name} pass their checks: all of them serve (fail-open).`
            : `Too few real servers of ${service.spec.name} pass their checks: the sorry server serves.`;
        problems.push({ kind: `health.${health.mode}`, ...name, message });
      }
      for (const { service, sync } of services) {
        if (calm.has(sync.state)) continue;
        problems.push({
          kind: `service.${sync.state}`,
          objectId: service.id,
          objectName: service.spec.name,
          message: sync.message,
        });
      }
      return {
        services: {
          total: services.length,
          inSync: services.filter(({ sync }) => sync.state === "inSync").length,
          attention: services.filter(({ sync }) => !calm.has(sync.state)).length,
        },
        nodes: { total: nodes.length, connected: nodes.filter(({ id: nodeId }) => live.isConnected(nodeId)).length },
        problems: problems.slice(0, problemsMost),
        fleet: { id, epoch, sequence, observeOnly },
      };
    },
  };
}
