import type { AgentCounters, ArrivalReport, PathReport, PathView } from "@trigon/model";
import { judgePath, pathWords } from "@trigon/planner";
import type { StoredService } from "./fleet-rows.ts";
import type { FleetState } from "./fleet-state.ts";

/** What a node last said, and when it was heard. */
export interface Heard {
  counters: AgentCounters;
  at: number;
}

interface Index {
  /** By service and real server. */
  paths: Map<string, PathReport>;
  /** By service. */
  arrivals: Map<string, ArrivalReport>;
}

/** A sample is asked once for each real server of each service that is looked at. */
const indexes = new WeakMap<AgentCounters, Index>();

function indexOf(counters: AgentCounters): Index {
  const known = indexes.get(counters);
  if (known) return known;
  const index: Index = {
    paths: new Map(counters.paths?.map((path) => [`${path.serviceId} ${path.realServerId}`, path])),
    arrivals: new Map(counters.arrivals?.map((arrival) => [arrival.serviceId, arrival])),
  };
  indexes.set(counters, index);
  return index;
}

const nothing = {
  step: null,
  cause: null,
  message: null,
  fix: null,
  latencyMs: null,
  large: null,
  at: null,
  since: null,
} as const;

/** Whose probes count: the member that was named, or where members agree by themselves the first that probes. */
function proverOf(state: FleetState, { id, spec }: StoredService, heard: (nodeId: string) => Heard | undefined): string | null {
  const group = state.groups.get(spec.directorGroupId);
  const probes = (nodeId: string) => {
    const said = heard(nodeId);
    return said !== undefined && spec.realServers.some((server) => indexOf(said.counters).paths.has(`${id} ${server.id}`));
  };
  return group?.joined.find(probes) ?? group?.activeNodeId ?? null;
}

/**
 * The verdicts on a service's paths: what its active director's probes came to, joined with what the real servers' agents saw of them. Two agents
 * never talk to each other; ages are counted from when each was heard.
 */
export function pathViews(input: {
  state: FleetState;
  service: StoredService;
  /** What a node said lately; undefined: nothing. */
  heard: (nodeId: string) => Heard | undefined;
  /** The enrolled node that owns a real server. */
  nodeOf: (realServer: { rip: string; nodeId: string | null }) => string | undefined;
}): PathView[] {
  const { state, service, heard, nodeOf } = input;
  const { spec } = service;
  const directorNodeId = proverOf(state, service, heard);
  const director = directorNodeId ? heard(directorNodeId) : undefined;
  const names = {
    vip: spec.vip,
    protocol: spec.protocol,
    port: spec.port,
    director: (directorNodeId && state.nodes.get(directorNodeId)?.name) ?? "",
  };
  return spec.realServers.map((realServer): PathView => {
    const base = { realServerId: realServer.id, directorNodeId };
    const report = director && indexOf(director.counters).paths.get(`${service.id} ${realServer.id}`);
    if (!director || !report) return { ...base, ...nothing, state: "none" };
    const forwarding = realServer.forwarding ?? spec.forwarding;
    const owner = forwarding === "dr" || forwarding === "tun" ? nodeOf(realServer) : undefined;
    const said = owner ? heard(owner) : undefined;
    const arrival = said && indexOf(said.counters).arrivals.get(service.id);
    const word = said && arrival ? { report: arrival, at: said.at } : owner ? "silent" : "unmanaged";
    const verdict = judgePath({ forwarding, protocol: spec.protocol, director: { report, at: director.at }, realServer: word });
    const words = verdict.cause && pathWords(verdict.cause, { ...names, rip: realServer.rip });
    return {
      ...base,
      ...verdict,
      message: words ? words.message : report.message,
      fix: words ? words.fix : null,
      latencyMs: report.latencyMs,
      large: report.large,
      at: new Date(director.at - report.agoMs).toISOString(),
      since: new Date(director.at - report.sinceMs).toISOString(),
    };
  });
}
