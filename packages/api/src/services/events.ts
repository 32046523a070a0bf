import { type EventView, eventTopics } from "@trigon/model";
import type { FleetState } from "../fleet-state.ts";
import type { ServiceContext } from "../service-context.ts";
import type { Services } from "../services.ts";

/** All that happened, newest first: what nodes found and did (the last 200 of each), and the audit log. Nothing is stored for it. */
export function events({ db, store, live }: ServiceContext): Services["events"] {
  return {
    async list({ topic, object, cursor: before, limit }) {
      const state = await store.refresh();
      const areas: readonly string[] | undefined = topic && eventTopics[topic];
      const isWanted = ({ at, kind, objectId, id }: EventView) =>
        (before === undefined || at < before) &&
        (areas === undefined || areas.includes(kind.split(".")[0]!)) &&
        (object === undefined || objectId === object || id.startsWith(`${object} `));
      const said = [...state.nodes.values()].flatMap((node) =>
        (live.report(node.id)?.events ?? []).map((event, index): EventView => {
          const objectId = serviceOf(state, event.key) ?? node.id;
          return {
            id: `${node.id} ${event.at} ${index}`,
            at: new Date(event.at).toISOString(),
            source: "node",
            kind: event.kind,
            ...{ objectId, objectName: nameOf(state, objectId), actor: null },
            message: `${node.name}: ${event.message}`,
          };
        }),
      );
      const where = {
        ...(object === undefined ? {} : { objectId: object }),
        ...(areas === undefined ? {} : { OR: areas.map((area) => ({ event: { startsWith: `${area}.` } })) }),
      };
      const newest = await db.prisma.auditEvent.findMany({
        where: { ...where, ...(before === undefined ? {} : { at: { lt: new Date(before) } }) },
        orderBy: [{ at: "desc" }, { id: "desc" }],
        take: limit + 1,
      });
      // One write leaves all its events at one moment: those of the last are taken whole, as pages are parted by moments.
      const edge = newest.length > limit ? newest.at(-1)!.at : undefined;
      const rows = edge
        ? [
            ...newest.filter(({ at }) => at.getTime() !== edge.getTime()),
            ...(await db.prisma.auditEvent.findMany({ where: { ...where, at: edge }, orderBy: { id: "desc" } })),
          ]
        : newest;
      const done = rows.map(
        ({ id, at, event, objectId, actor, detail }): EventView => ({
          ...{ id, at: at.toISOString(), source: "audit", kind: event, objectId, actor },
          objectName: nameOf(state, objectId) ?? nameIn(detail),
          message: textOf(detail),
        }),
      );
      const all = [...said.filter(isWanted), ...done].sort((a, b) => b.at.localeCompare(a.at) || a.id.localeCompare(b.id));
      const data = all.slice(0, limit);
      // What happened in the same millisecond as the last one is not left for the next page.
      const last = data.at(-1)?.at;
      for (const more of all.slice(limit)) if (more.at === last) data.push(more);
      const isMore = edge !== undefined || all.length > data.length;
      return { data, nextCursor: isMore && last !== undefined ? last : null };
    },
  };
}

export function nameOf(state: FleetState, id: string | null): string | null {
  if (id === null) return null;
  return state.services.get(id)?.spec.name ?? state.nodes.get(id)?.name ?? state.groups.get(id)?.name ?? null;
}

export const nameIn = (detail: unknown): string | null => {
  const { name } = (detail ?? {}) as { name?: unknown };
  return typeof name === "string" ? name : null;
};

/** The detail of an audit event in one line. */
export const textOf = (detail: unknown): string =>
  Object.entries((detail ?? {}) as Record<string, unknown>)
    .filter(([key]) => key !== "name")
    .map(([key, value]) => `${key}: ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(", ");

/** The service that an agent's resource key is about: by VIP, protocol and port. */
export function serviceOf(state: FleetState, key: string | null): string | null {
  const [, protocol, vip, port] = /^ipvs(?:Service|Destination) (\S+) (\S+) (\d+)/.exec(key ?? "") ?? [];
  if (vip === undefined) return null;
  const found = state
    .liveServices()
    .find(({ spec }) => spec.vip === vip && spec.protocol === protocol && spec.port === Number(port));
  return found?.id ?? null;
}
