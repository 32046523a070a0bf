import type { Fragment } from "@trigon/model";
import { endpointOf, needsWord, sameEndpoint } from "./endpoints.ts";
import type { Endpoint, Fleet, FleetGroup, Gate, NodeReport } from "./fleet.ts";
import { directorsOf, planFragments, type ServicePlanInput } from "./plan-fragments.ts";

export interface GateInput extends ServicePlanInput {
  /** What a node last said, or undefined when it never did. */
  report: (nodeId: string) => NodeReport | undefined;
  /** The sequence of the write that stores the answer. */
  sequence: number;
  /** Whether a release has waited long enough to be forced. */
  isOverdue?: (gate: Gate) => boolean;
}

/** A row to write, or to take away. */
export type GateChange = { op: "put"; gate: Gate } | { op: "drop"; gate: Gate };

/**
 * How a service's gates go on from here: call it inside every write that touches a service or its group, and when a node in them reports.
 * Pure and idempotent: the same rows and reports, no further change.
 */
export function gateChanges(input: GateInput): GateChange[] {
  const before = new Map(input.gates.map((gate) => [nameOf(gate), gate]));
  const next = new Map<string, Gate>();
  for (const gate of [...before.values(), ...missingGates(input, before)]) {
    const asked = ask(gate, wantedOf(input, gate), input.sequence);
    next.set(nameOf(gate), asked);
  }
  // Whether a real server is ready is judged by the plan that it shall hold, new wishes included.
  const plan = planFragments({ ...input, gates: [...next.values()] });
  for (const [name, gate] of next) next.set(name, admit(gate, plan, input));
  const after = planFragments({ ...input, gates: [...next.values()] });
  for (const [name, gate] of next) next.set(name, letGo(gate, after, input));

  const changes: GateChange[] = [];
  for (const [name, gate] of next) {
    const isOver = gate.wanted === null && gate.admitted === null && gate.releasing.length === 0;
    if (isOver && before.has(name)) changes.push({ op: "drop", gate });
    else if (!isOver && !sameGate(before.get(name), gate)) changes.push({ op: "put", gate });
  }
  return changes;
}

/**
 * Opens a gate without the real server's word, because an operator knows better; one that waits for nothing stays as it is. `sequence` is that
 * of the write which stores it.
 */
export function forceGate(gate: Gate, sequence: number): Gate {
  const { wanted, admitted } = gate;
  if (wanted === null || sameEndpoint(wanted, admitted)) return gate;
  const others = gate.releasing.filter(({ endpoint }) => !sameEndpoint(endpoint, wanted));
  return settle({ ...gate, admitted: wanted, releasing: release({ ...gate, releasing: others }, admitted, sequence) });
}

/** Forgets what the director has not let go of yet, without its word: it may still send there. */
export function forgetGate(gate: Gate): Gate {
  return gate.releasing.length === 0 ? gate : settle({ ...gate, releasing: [] });
}

/** Why a gate is not open: a closed code, the sentence, and what fills it in another language. */
export interface GateReason {
  code: "releasing" | "silent" | "trouble" | "unserved";
  message: string;
  values: Record<string, string>;
}

/** Null when it is open. */
export function gateReason(gate: Gate, fleet: Fleet, report: GateInput["report"]): GateReason | null {
  if (gate.state === "open") return null;
  const nameOfNode = (id: string | null) => (id && fleet.node(id)?.name) || "the node";
  if (gate.state === "releasing") {
    const node = nameOfNode(gate.directorNodeId);
    return { code: "releasing", message: `${node} has not said yet that it let go of this real server.`, values: { node } };
  }
  const { nodeId, vip } = gate.wanted!;
  const node = nameOfNode(nodeId);
  const said = nodeId ? report(nodeId) : undefined;
  if (!said) return { code: "silent", message: `${node} has not reported yet.`, values: { node } };
  const trouble = [...said.fragments.values()].find(
    ({ id, state }) => id.startsWith(`rs:${gate.serviceId}`) && state !== "applied",
  );
  if (trouble?.message) {
    return { code: "trouble", message: `${node}: ${trouble.message}`, values: { node, why: trouble.message } };
  }
  return { code: "unserved", message: `${node} has not reported yet that it serves ${vip}.`, values: { node, vip } };
}

/** Whether the member that held a group's VIPs before has let go of all of them. */
export function hasLetGoOfVips(group: FleetGroup, fleet: Fleet, report: GateInput["report"]): boolean {
  if (group.releasing === null) return true;
  const { nodeId, sequence } = group.releasing;
  const node = fleet.node(nodeId);
  if (!node || node.state === "revoked") return true;
  const said = report(nodeId);
  return said !== undefined && said.generation >= sequence && ![...said.fragments.keys()].some((id) => id.startsWith("dv:"));
}

function nameOf({ realServerId, directorNodeId }: Gate): string {
  return `${realServerId} ${directorNodeId}`;
}

function missingGates(input: GateInput, before: ReadonlyMap<string, Gate>): Gate[] {
  const { service } = input;
  const rows = directorsOf(input).flatMap((director) =>
    service.spec.realServers.map(
      ({ id }): Gate => ({
        serviceId: service.id,
        realServerId: id,
        directorNodeId: director.id,
        state: "waiting",
        wanted: null,
        admitted: null,
        releasing: [],
      }),
    ),
  );
  return rows.filter((row) => !before.has(nameOf(row)));
}

/** What the director shall know of this real server now; null when it shall not know it. */
function wantedOf(input: GateInput, gate: Gate): Endpoint | null {
  const { service, fleet } = input;
  if (!directorsOf(input).some(({ id }) => id === gate.directorNodeId)) return null;
  const realServer = service.spec.realServers.find(({ id }) => id === gate.realServerId);
  if (!realServer) return null;
  const endpoint = endpointOf(service, realServer, fleet);
  const node = endpoint.nodeId === null ? undefined : fleet.node(endpoint.nodeId);
  return node?.state === "decommissioned" ? null : endpoint;
}

function ask(gate: Gate, wanted: Endpoint | null, sequence: number): Gate {
  if (wanted !== null) return settle({ ...gate, wanted });
  return settle({ ...gate, wanted: null, admitted: null, releasing: release(gate, gate.admitted, sequence) });
}

/** The real server must go on serving what its director may still send. Endpoints that need nothing of a node are just forgotten. */
function release({ releasing }: Gate, endpoint: Endpoint | null, sequence: number): Gate["releasing"] {
  if (endpoint === null || !needsWord(endpoint)) return releasing;
  return [...releasing.filter((other) => !sameEndpoint(other.endpoint, endpoint)), { endpoint, sequence }];
}

/** Opens when nothing has to be waited for, or when the real server holds exactly the fragment that serves this endpoint. */
function admit(gate: Gate, plan: ReadonlyMap<string, Fragment[]>, input: GateInput): Gate {
  const { wanted, admitted } = gate;
  if (wanted === null || sameEndpoint(wanted, admitted)) return gate;
  if (needsWord(wanted) && !isServed(gate, wanted, plan, input)) return gate;
  return forceGate(gate, input.sequence);
}

function isServed(gate: Gate, wanted: Endpoint, plan: ReadonlyMap<string, Fragment[]>, { report }: GateInput): boolean {
  const fragment = plan
    .get(wanted.nodeId!)
    ?.find(
      (candidate) =>
        candidate.kind === "realServer.serve" &&
        candidate.vip === wanted.vip &&
        candidate.port === wanted.port &&
        candidate.protocol === wanted.protocol &&
        (wanted.forwarding !== "tun" ||
          (candidate.encapsulation === wanted.encapsulation &&
            candidate.directors.some(({ nodeId }) => nodeId === gate.directorNodeId))) &&
        candidate.endpoints.some(
          ({ realServerId, rip, port, forwarding }) =>
            realServerId === gate.realServerId &&
            rip === wanted.rip &&
            port === wanted.ripPort &&
            forwarding === wanted.forwarding,
        ),
    );
  const said = fragment && report(wanted.nodeId!)?.fragments.get(fragment.id);
  return said !== undefined && said.state === "applied" && said.hash === fragment!.hash;
}

/** Forgets what the director let go of: it holds a plan without it, was revoked (it can be asked no more), or kept everybody waiting too long. */
function letGo(gate: Gate, plan: ReadonlyMap<string, Fragment[]>, input: GateInput): Gate {
  if (gate.releasing.length === 0) return gate;
  const director = input.fleet.node(gate.directorNodeId);
  if (!director || director.state === "revoked" || input.isOverdue?.(gate)) return settle({ ...gate, releasing: [] });
  const said = input.report(gate.directorNodeId);
  if (!said) return gate;
  const planned = new Map((plan.get(director.id) ?? []).map((fragment) => [fragment.id, fragment]));
  const own = [...said.fragments.values()].filter(
    ({ id }) => id === `ds:${gate.serviceId}` || id.startsWith(`ds:${gate.serviceId}:`),
  );
  const isSettled =
    own.every(({ id, hash, state }) => state === "applied" && planned.get(id)?.hash === hash) &&
    [...planned.values()].every(({ id, kind }) => kind !== "director.service" || own.some((state) => state.id === id));
  if (!isSettled) return gate;
  return settle({ ...gate, releasing: gate.releasing.filter(({ sequence }) => said.generation < sequence) });
}

function settle(gate: Gate): Gate {
  const state = gate.wanted === null ? "releasing" : sameEndpoint(gate.wanted, gate.admitted) ? "open" : "waiting";
  return { ...gate, state };
}

function sameGate(a: Gate | undefined, b: Gate): boolean {
  return (
    a !== undefined &&
    a.state === b.state &&
    sameEndpoint(a.wanted, b.wanted) &&
    sameEndpoint(a.admitted, b.admitted) &&
    a.releasing.length === b.releasing.length &&
    a.releasing.every(({ endpoint, sequence }, index) => {
      const other = b.releasing[index]!;
      return sequence === other.sequence && sameEndpoint(endpoint, other.endpoint);
    })
  );
}

/** Whether a gate still waits for anybody's report. */
export function isPending(gate: Gate): boolean {
  return gate.state !== "open" || gate.releasing.length > 0;
}
