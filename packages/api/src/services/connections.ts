import { ConnectionTable, type ConnectionTableView, DomainError } from "@trigon/model";
import { holderOf } from "../group-view.ts";
import type { ServiceContext } from "../service-context.ts";
import type { ConnectionsInput } from "../shapes.ts";

/** The connection table of a service, as the director that holds its VIP says now. */
export async function connectionsOf(
  { store, sources, asks, now }: ServiceContext,
  { id, client, realServer, state, templates, sort, limit }: ConnectionsInput,
): Promise<ConnectionTableView> {
  const fleet = await store.refresh();
  const { spec, deletedAt } = fleet.service(id);
  if (deletedAt) throw new DomainError("resource.notFound", `There is no virtual service ${id}.`);
  const holder = holderOf(sources, spec.directorGroupId);
  if (!holder) {
    const detail = `No director holds ${spec.vip}: it has no connections.`;
    throw new DomainError("node.notConnected", detail, [
      { pointer: "/id", code: "director.none", detail, meta: { vip: spec.vip } },
    ]);
  }
  const node = fleet.node(holder);
  const answer = await asks.ask(node, {
    what: "connections",
    service: { protocol: spec.protocol, vip: spec.vip, port: spec.port },
    filter: {
      ...(client === undefined ? {} : { client }),
      ...(realServer === undefined ? {} : { realServer: realServer.rip }),
      ...(realServer?.port === undefined ? {} : { realServerPort: realServer.port }),
      ...(state === undefined ? {} : { state }),
      ...(templates === undefined ? {} : { templates }),
      sort,
      limit,
    },
  });
  const table = ConnectionTable.safeParse(answer);
  if (!table.success) throw new DomainError("node.noAnswer", `${node.name} answered what this controller does not understand.`);
  return { ...table.data, nodeId: node.id, nodeName: node.name, at: new Date(now()).toISOString() };
}
