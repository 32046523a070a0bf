import { HealthSpec, type VirtualServiceInput, type VirtualServiceView } from "@trigon/model";

/** What the form edits: every field written out. Boxes that take numbers may hold null or text until the schema has spoken. */
export type ServiceValues = Required<Omit<VirtualServiceInput, "directorGroupId" | "health" | "realServers">> & {
  directorGroupId?: string;
  health: HealthSpec;
  realServers: RealServerValues[];
};
export type RealServerValues = Required<Omit<NonNullable<VirtualServiceInput["realServers"]>[number], "id">> & { id?: string };

/** A new service before anybody typed. */
export function emptyService(): ServiceValues {
  return {
    name: "",
    description: "",
    enabled: true,
    vip: "",
    protocol: "tcp",
    port: null as unknown as number,
    forwarding: "dr",
    encapsulation: "ipip",
    snatSource: "vip",
    scheduler: "wlc",
    schedulerFlags: [],
    persistence: null,
    onePacket: false,
    slowStartSeconds: 0,
    allow: [],
    health: HealthSpec.parse({}),
    realServers: [emptyRealServer()],
  };
}

export function emptyRealServer(): RealServerValues {
  return {
    rip: "",
    port: null,
    weight: 1,
    forwarding: null,
    upperThreshold: 0,
    lowerThreshold: 0,
    nodeId: null,
    adminState: "active",
    drain: null,
  };
}

/** What a view was made from: its read-only fields left out, so that it can be sent back whole. */
export function specOf(view: VirtualServiceView): ServiceValues {
  const { id: _id, revision: _revision, createdAt: _createdAt, updatedAt: _updatedAt, status: _status, ...spec } = view;
  return { ...spec, realServers: spec.realServers.map((realServer) => ({ ...realServer })) };
}

/**
 * A row nobody typed into is no real server: the values without such rows, and a function that puts a pointer into them back to where the
 * form has it.
 */
export function withoutBlankRows(values: ServiceValues): { values: ServiceValues; toForm: (pointer: string) => string } {
  const kept = values.realServers.flatMap(({ rip, id }, index) => (id !== undefined || rip.trim() !== "" ? [index] : []));
  return {
    values: { ...values, realServers: values.realServers.filter((_row, index) => kept.includes(index)) },
    toForm: (pointer) =>
      pointer.replace(/^\/realServers\/(\d+)/, (_all, index) => `/realServers/${kept[Number(index)] ?? index}`),
  };
}

/** The sentence under a field: its own error, else what the server already says about it. `path` is the form's, `realServers.0.rip`. */
export type ErrorOf = (path: string, own: string | undefined) => string | undefined;
