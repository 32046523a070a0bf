import type { DirectorServiceFragment, PlanEnvelope, PlannedDestination } from "@trigon/model";

/** A real server as a director's plan names it, by its RIP: DR, port 80, weight 1. */
export const plannedDestination = (rip: string, change: Partial<PlannedDestination> = {}): PlannedDestination => ({
  realServerId: `rs_${rip}`,
  rip,
  port: 80,
  forwarding: "dr",
  weight: 1,
  upperThreshold: 0,
  lowerThreshold: 0,
  ...change,
});

/** A virtual service as a director's plan names it: TCP port 80 on 10.2.0.100 with round robin, and no real servers. */
export const directorService = (name: string, change: Partial<DirectorServiceFragment> = {}): DirectorServiceFragment => ({
  id: `ds:${name}`,
  hash: "1",
  generation: 1,
  kind: "director.service",
  serviceId: name,
  name,
  vip: "10.2.0.100",
  protocol: "tcp",
  port: 80,
  scheduler: "rr",
  schedulerFlags: [],
  persistence: null,
  onePacket: false,
  encapsulation: "ipip",
  snatSource: "vip",
  notrack: false,
  destinations: [],
  ...change,
});

/** A whole plan for `node_1` of `fleet_1`. */
export const planEnvelope = (generation: number, change: Partial<PlanEnvelope> = {}): PlanEnvelope => ({
  protocol: 1,
  fleetId: "fleet_1",
  epoch: 1,
  generation,
  nodeId: "node_1",
  since: null,
  observeOnly: false,
  allowMassRemoval: false,
  fragments: [],
  tombstones: [],
  ...change,
});
