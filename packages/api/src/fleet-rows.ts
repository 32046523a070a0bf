import { Prisma, type Transaction } from "@trigon/db";
import {
  type Facts,
  type GroupMode,
  HealthSpec,
  type NodeRole,
  type NodeState,
  type VirtualServiceSpec,
  VrrpSpec,
} from "@trigon/model";
import type { Gate } from "@trigon/planner";
import type { z } from "zod";

/** The configuration as the database holds it, read in one statement so that it is of one moment. */
export interface FleetRows {
  fleet: StoredFleet;
  groups: StoredGroup[];
  nodes: StoredNode[];
  vips: StoredVip[];
  services: StoredService[];
}

export interface StoredFleet {
  id: string;
  epoch: number;
  sequence: number;
  observeOnly: boolean;
  allowMassRemovalUntil: Date | null;
  highestReported: number | null;
  prunedThrough: number;
}

export interface StoredGroup {
  id: string;
  name: string;
  mode: GroupMode;
  activeNodeId: string | null;
  vrrp: VrrpSpec;
  ping: boolean;
  manageFirewall: boolean;
  floatingAddresses: readonly string[];
  releasingNodeId: string | null;
  releasingSequence: number | null;
  /** The number it goes by on the wire; null: it was never in mode `vrrp`. */
  virtualRouterId: number | null;
  /** Members that take part in VRRP by now, and those of whom it is waited that they let go. */
  joined: readonly string[];
  joinedSequence: number | null;
  leaving: readonly { nodeId: string; sequence: number }[];
  /** The member that an operator asked to hold the VIPs, and the change that asked. */
  preferredNodeId: string | null;
  preferredSequence: number | null;
  revision: number;
  sequence: number;
  deletedAt: Date | null;
}

export interface StoredNode {
  id: string;
  name: string;
  role: NodeRole;
  directorGroupId: string | null;
  index: number;
  state: z.infer<typeof NodeState>;
  certSerial: string | null;
  certExpiresAt: Date | null;
  /** Serials that may speak for the node, the newest last; empty: any (enrolled before they were kept). */
  certAccepted: readonly string[];
  facts: Facts | null;
  machineId: string | null;
  agentVersion: string | null;
  revision: number;
  sequence: number;
  enrolledAt: Date;
}

export interface StoredVip {
  address: string;
  directorGroupId: string;
  sequence: number;
  deletedAt: Date | null;
}

/** A gate of the planner, and since when it is in its state. */
export interface StoredGate extends Gate {
  since: Date;
}

/** A spec as it is stored: with its group, and an id on every real server. */
export type StoredSpec = Omit<VirtualServiceSpec, "directorGroupId" | "realServers"> & {
  directorGroupId: string;
  realServers: (VirtualServiceSpec["realServers"][number] & { id: string })[];
};

export interface StoredService {
  id: string;
  spec: StoredSpec;
  revision: number;
  sequence: number;
  createdAt: Date;
  updatedAt: Date;
  deletedAt: Date | null;
  /** When it was let go of: deleted, and left in the kernels of its nodes. */
  releasedAt: Date | null;
  gates: StoredGate[];
}

type Raw = Record<string, unknown>;
const date = (value: unknown) => new Date(`${value as string}Z`); // columns are UTC without a zone
const dateOrNull = (value: unknown) => (value === null ? null : date(value));

/** Every row that changed after `sequence`, and the fleet's own; a service comes whole with its real servers and gates. */
export async function readFleet(tx: Pick<Transaction, "$queryRaw">, sequence: number): Promise<FleetRows> {
  const [answer] = await tx.$queryRaw<[{ rows: Record<string, Raw[]> & { fleet: Raw } }]>(Prisma.sql`
    SELECT json_build_object(
      'fleet', (SELECT row_to_json(f) FROM fleet f),
      'groups', (SELECT coalesce(json_agg(g), '[]') FROM "directorGroup" g WHERE g.sequence > ${sequence}),
      'nodes', (SELECT coalesce(json_agg(n), '[]') FROM node n WHERE n.sequence > ${sequence}),
      'vips', (SELECT coalesce(json_agg(v), '[]') FROM vip v WHERE v.sequence > ${sequence}),
      'services', (SELECT coalesce(json_agg(s ORDER BY s.sequence), '[]') FROM (
        SELECT service.*,
          (SELECT coalesce(json_agg(r ORDER BY r.position), '[]') FROM "realServer" r WHERE r."serviceId" = service.id) AS "realServers",
          (SELECT coalesce(json_agg(g), '[]') FROM gate g WHERE g."serviceId" = service.id) AS gates
        FROM "virtualService" service WHERE service.sequence > ${sequence}) s)
    ) AS rows`);
  const { rows } = answer;
  return {
    fleet: { ...(rows.fleet as unknown as StoredFleet), allowMassRemovalUntil: dateOrNull(rows.fleet.allowMassRemovalUntil) },
    groups: (rows.groups ?? []).map((row) => ({
      ...(row as unknown as StoredGroup),
      vrrp: VrrpSpec.parse(row.vrrp ?? {}),
      deletedAt: dateOrNull(row.deletedAt),
    })),
    nodes: (rows.nodes ?? []).map((row) => ({
      ...(row as unknown as StoredNode),
      certExpiresAt: dateOrNull(row.certExpiresAt),
      enrolledAt: date(row.enrolledAt),
    })),
    vips: (rows.vips ?? []).map((row) => ({ ...(row as unknown as StoredVip), deletedAt: dateOrNull(row.deletedAt) })),
    services: (rows.services ?? []).map(serviceOf),
  };
}

function serviceOf(row: Raw): StoredService {
  const realServers = (row.realServers as Raw[]).map(({ serviceId: _serviceId, position: _position, ...spec }) => spec);
  return {
    id: row.id as string,
    spec: specOf(row.spec as StoredSpec, realServers as StoredSpec["realServers"]),
    revision: row.revision as number,
    sequence: row.sequence as number,
    createdAt: date(row.createdAt),
    updatedAt: date(row.updatedAt),
    deletedAt: dateOrNull(row.deletedAt),
    releasedAt: dateOrNull(row.releasedAt),
    gates: (row.gates as Raw[]).map((gate) => ({ ...(gate as unknown as StoredGate), since: date(gate.since) })),
  };
}

/** A spec as it was stored, with what was not there yet when it was. */
function specOf(spec: StoredSpec, realServers: StoredSpec["realServers"]): StoredSpec {
  const servers = realServers.map((server) => ({
    ...server,
    adminState: server.adminState ?? "active",
    drain: server.drain ?? null,
  }));
  return {
    ...spec,
    allow: spec.allow ?? [],
    slowStartSeconds: spec.slowStartSeconds ?? 0,
    health: HealthSpec.parse(spec.health ?? {}),
    realServers: servers,
  };
}

/** The spec's own row and those of its real servers. */
export function rowsOf(serviceId: string, spec: StoredSpec) {
  const { realServers, ...rest } = spec;
  return {
    columns: {
      name: spec.name,
      directorGroupId: spec.directorGroupId,
      vip: spec.vip,
      protocol: spec.protocol,
      port: spec.port,
      spec: rest as unknown as Prisma.InputJsonValue,
    },
    realServers: realServers.map((server, position) => ({ ...server, serviceId, position })),
  };
}
