import { type AdminState, DomainError, type DrainSpec } from "@trigon/model";
import type { Call } from "../actor.ts";
import type { Draft } from "../draft.ts";
import type { StoredService, StoredSpec } from "../fleet-rows.ts";
import type { FleetState } from "../fleet-state.ts";
import type { ServiceContext } from "../service-context.ts";
import type { Services } from "../services.ts";
import type { DrainOptions } from "../shapes.ts";
import { serviceView } from "../views.ts";
import { lintOf, type ServiceEditor, serviceEditor } from "./service-editor.ts";

type RealServer = StoredSpec["realServers"][number];
type Wanted = Pick<RealServer, "adminState" | "drain">;

/** Gives the real servers of a service that `wantedOf` answers for what it answers; its audit events stand beside the service's own. */
export async function changeAdminStates(
  editor: ServiceEditor,
  draft: Draft,
  service: StoredService,
  wantedOf: (realServer: RealServer) => Wanted | undefined,
): Promise<number> {
  const changed: { realServerId: string; rip: string; from: AdminState; to: AdminState }[] = [];
  const realServers = service.spec.realServers.map((realServer) => {
    const wanted = wantedOf(realServer);
    if (!wanted) return realServer;
    const { id: realServerId, rip, adminState: from } = realServer;
    if (from !== wanted.adminState) changed.push({ realServerId, rip, from, to: wanted.adminState });
    return { ...realServer, ...wanted };
  });
  await editor.put(draft, service, { ...service.spec, realServers });
  for (const detail of changed) draft.audit("realServer.adminStateChanged", service.id, detail);
  return changed.length;
}

/** Draining, maintenance and back, for one real server of a service or for all of a node's. */
export function adminStates(context: ServiceContext): Services["adminStates"] {
  const { store, sources } = context;
  const editor = serviceEditor(context.controllerAddresses);

  async function one(call: Call, serviceId: string, realServerId: string, wantedOf: (now: number) => Wanted) {
    await store.write(
      call,
      async (draft) => {
        const service = draft.state.service(serviceId);
        if (!service.spec.realServers.some(({ id }) => id === realServerId)) {
          throw new DomainError("resource.notFound", `"${service.spec.name}" has no real server ${realServerId}.`);
        }
        const wanted = wantedOf(draft.now.getTime());
        await changeAdminStates(editor, draft, service, ({ id }) => (id === realServerId ? wanted : undefined));
      },
      { isOptional: true },
    );
    const service = store.state.service(serviceId);
    return { ...serviceView(sources, service), lint: lintOf(store.state, service.spec, serviceId) };
  }

  async function ofNode(
    call: Call,
    nodeId: string,
    event: "node.maintenanceBegun" | "node.maintenanceEnded",
    wantedOf: (realServer: RealServer, now: number) => Wanted | undefined,
  ) {
    await store.write(
      call,
      async (draft) => {
        const node = draft.state.node(nodeId);
        if (node.role !== "realServer") {
          const detail = `${node.name} is a director: make another member of its group active instead.`;
          throw new DomainError("resource.inUse", detail);
        }
        let count = 0;
        for (const service of draft.state.liveServices()) {
          const isOwn = ownedBy(draft.state, nodeId);
          const wanted = (server: RealServer) => (isOwn(server) ? wantedOf(server, draft.now.getTime()) : undefined);
          if (service.spec.realServers.some((server) => wanted(server)))
            count += await changeAdminStates(editor, draft, service, wanted);
        }
        if (count > 0) draft.audit(event, nodeId, { name: node.name, realServers: count });
      },
      { isOptional: true },
    );
    return { data: nodeRoles(store.state, nodeId) };
  }

  return {
    drain: (call, serviceId, realServerId, options) =>
      one(call, serviceId, realServerId, (now) => ({
        adminState: options.maintenance ? "maintenance" : "draining",
        drain: drainOf(options, now),
      })),
    activate: (call, serviceId, realServerId) =>
      one(call, serviceId, realServerId, () => ({ adminState: "active", drain: null })),
    disable: (call, serviceId, realServerId) =>
      one(call, serviceId, realServerId, () => ({ adminState: "disabled", drain: null })),
    beginMaintenance: (call, nodeId, options) =>
      ofNode(call, nodeId, "node.maintenanceBegun", ({ adminState }, now) =>
        adminState === "active" || adminState === "draining"
          ? { adminState: "maintenance", drain: drainOf(options, now) }
          : undefined,
      ),
    endMaintenance: (call, nodeId) =>
      ofNode(call, nodeId, "node.maintenanceEnded", ({ adminState }) =>
        adminState === "maintenance" ? { adminState: "active", drain: null } : undefined,
      ),
    async rolesOf(nodeId) {
      const state = await store.refresh();
      return { data: nodeRoles(state, state.node(nodeId).id) };
    },
  };
}

function drainOf({ mode, deadlineSeconds }: Omit<DrainOptions, "maintenance">, now: number): DrainSpec {
  return { mode, until: deadlineSeconds === null ? null : new Date(now + 1000 * deadlineSeconds).toISOString() };
}

/** Whether a real server runs on a node: named by the operator, or found by its RIP. */
function ownedBy(state: FleetState, nodeId: string) {
  return ({ nodeId: named, rip }: RealServer) => (named ?? state.index.realServerAt(rip)?.id) === nodeId;
}

/** Every real server that a node is, and its state there. */
function nodeRoles(state: FleetState, nodeId: string) {
  const isOwn = ownedBy(state, nodeId);
  return state.liveServices().flatMap(({ id, spec }) =>
    spec.realServers.filter(isOwn).map((server) => ({
      serviceId: id,
      serviceName: spec.name,
      realServerId: server.id,
      rip: server.rip,
      adminState: server.adminState,
      drain: server.drain,
    })),
  );
}
