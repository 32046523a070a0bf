import type { OverviewView, ServiceHealthView } from "@trigon/model";
import type { ServiceContext } from "../service-context.ts";
import type { Services } from "../services.ts";
import { healthView, nodeView, syncOf } from "../views.ts";

const calm = new Set(["inSync", "disabled", "applying"]);
const problemsMost = 100;

const namedMost = 3;

/** The real servers that do not pass their checks, in words; null when all do. */
function downServers(
  realServers: readonly { id: string; rip: string }[],
  health: ServiceHealthView,
): Pick<OverviewView["problems"][number], "message" | "values"> | null {
  const rips = new Map(realServers.map(({ id, rip }) => [id, rip]));
  const down = health.realServers.filter(({ realServerId, verdict }) => verdict === "down" && rips.has(realServerId));
  if (down.length === 0) return null;
  const named = down.slice(0, namedMost).map(({ realServerId }) => rips.get(realServerId)!);
  const more = down.length > named.length ? ", …" : "";
  const [first] = down;
  const why = first?.message && down.every(({ reason }) => reason === first.reason) ? ` (${first.message})` : "";
  const values = { count: down.length, total: realServers.length, names: `${named.join(", ")}${more}` };
  return { message: `${values.count} of ${values.total} real servers down: ${values.names}${why}.`, values };
}

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
        if (!health) continue;
        const name = { objectId: service.id, objectName: service.spec.name };
        if (health.mode === "normal") {
          const down = downServers(service.spec.realServers, health);
          if (down) problems.push({ kind: "health.down", ...name, ...down });
          continue;
        }
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
