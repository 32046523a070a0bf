import {
  type AddressResource,
  type Fragment,
  type PreviewNode,
  type PreviewStep,
  type Resource,
  resourceKey,
  type ServiceCountersView,
  type ServiceHealth,
  serviceKeyOf,
  type TableRow,
  type TouchedConnections,
} from "@trigon/model";
import { commandsFor, ResolveError, resolveFragment, sentenceOf, staysWhenReleased } from "@trigon/planner";
import { type Claim, Desired, diff, isSettingKind, keyOf, type Step } from "@trigon/reconciler";
import type { Draft } from "./draft.ts";
import type { StoredNode } from "./fleet-rows.ts";
import type { FleetState } from "./fleet-state.ts";
import type { LiveReport } from "./live.ts";
import { addDifference, planAddress, planDirectorGroup, planService, type SubjectPlan } from "./plan-store.ts";
import type { ViewSources } from "./views.ts";

/**
 * What a rehearsed write leads to, node by node: the agent's own `resolve` and `diff` over what each node last said. `adopted`: the key of a
 * foreign service that becomes ours as it stands. `released`: what goes is let go of, and stays in the kernel where it carries packets.
 */
export function previewNodes(
  draft: Draft,
  sources: ViewSources,
  counters: readonly ServiceCountersView[],
  { adopted, released = false }: { adopted?: string; released?: boolean } = {},
): PreviewNode[] {
  const drafts = [draft, ...draft.foresee()];
  const after = drafts.at(-1)!.state;
  const subjects = [...new Set(drafts.flatMap(({ touched }) => [...touched.serviceIds]))].map((id) => ({
    before: planService(sources.state, id),
    after: planService(after, id),
  }));
  const addresses = [...new Set(drafts.flatMap(({ touched }) => [...touched.vips]))];
  subjects.push(...addresses.map((vip) => ({ before: planAddress(sources.state, vip), after: planAddress(after, vip) })));
  for (const id of new Set(drafts.flatMap(({ touched }) => [...touched.groupIds])))
    subjects.push({ before: planDirectorGroup(sources.state, id), after: planDirectorGroup(after, id) });
  const connections = connectionsByKey(sources.state, counters);
  const nodeIds = new Set<string>();
  for (const subject of subjects) addDifference(subject.before, subject.after, nodeIds);
  return [...nodeIds]
    .flatMap((id) => previewNode(id, subjects, after, sources, connections, adopted, released) ?? [])
    .toSorted((a, b) => a.role.localeCompare(b.role) || a.nodeName.localeCompare(b.nodeName));
}

/** All the connections that steps touch, or null when nobody counted any. */
export function totalOf(nodes: readonly PreviewNode[]): TouchedConnections | null {
  const known = nodes.flatMap(({ steps }) => steps.flatMap(({ connections }) => connections ?? []));
  return known.length === 0 ? null : sum(known);
}

type Subjects = readonly { before: SubjectPlan; after: SubjectPlan }[];

function previewNode(
  id: string,
  subjects: Subjects,
  after: FleetState,
  { plans, live }: ViewSources,
  connections: ReadonlyMap<string, TouchedConnections>,
  adopted: string | undefined,
  released: boolean,
): PreviewNode | undefined {
  const node = after.nodes.get(id);
  if (!node) return undefined;
  const table = live.report(id)?.table ?? null;
  const head = { nodeId: id, nodeName: node.name, role: node.role, isConnected: live.isConnected(id) };
  const preview: PreviewNode = { ...head, observedAt: table?.at ?? null, steps: [], problems: [] };
  const problem = (code: string, message: string) => preview.problems.push({ code, message });
  if (node.facts === null) {
    problem("node.unknown", `${node.name} has not said yet what it is.`);
    return preview;
  }
  const resources = (fragment: Fragment): Resource[] => resolved(fragment, node, healthIn(live.report(id), fragment), problem);

  const desired = new Desired();
  for (const fragment of plans.fragments(id).values()) desired.replace(fragment.id, fragment.hash, resources(fragment));
  const was = new Map<string, Resource>();
  const keys = new Set<string>();
  const touch = (key: string) => {
    if (keys.has(key)) return;
    keys.add(key);
    const now = desired.get(key);
    if (now) was.set(key, now);
  };
  const changes = subjects.flatMap((subject) => {
    const next = subject.after.get(id) ?? [];
    const gone = (subject.before.get(id) ?? []).filter((old) => !next.some((fragment) => fragment.id === old.id));
    return [...gone.map((old) => ({ id: old.id, next: undefined })), ...next.map((one) => ({ id: one.id, next: one }))];
  });
  const nexts = changes.map(({ next, id: fragmentId }) => ({ fragmentId, next, resources: next ? resources(next) : [] }));
  for (const { fragmentId, resources: wanted } of nexts) {
    for (const { key } of [...(desired.fragment(fragmentId)?.resources ?? []), ...wanted]) touch(key);
  }
  for (const { fragmentId, next, resources: wanted } of nexts) {
    if (next) desired.replace(fragmentId, next.hash, wanted);
    else desired.remove(fragmentId);
  }

  if (released) {
    preview.keeps = [];
    for (const [key, resource] of was) {
      if (desired.get(key) || !staysWhenReleased(resource)) continue;
      keys.delete(key);
      if (!isSettingKind(resource.kind)) preview.keeps.push(...commandsFor({ op: "create", to: resource }));
    }
  }

  const rows = new Map(table?.rows.map((row) => [row.key, row]));
  const isAdopted = (key: string) => key === adopted || (key.startsWith("ipvsDestination ") && serviceKeyOf(key) === adopted);
  const { ours, observed } = kernelOf(keys, was, rows, isAdopted, (key, row) => {
    if (desired.get(key)) problem("foreign", `Something that Trigon did not make stands there: ${row.observed ?? key}`);
  });
  // The VIP of a service that stands is mostly bound too, and is taken over with it.
  const vip = adopted && desired.get(adopted);
  for (const key of vip ? ours : []) {
    const wanted = desired.get(key);
    const isBound =
      wanted?.kind === "address" && vip && "address" in vip && wanted.address === vip.address && holds(node, wanted);
    if (isBound) observed.set(key, wanted);
  }
  const { build, remove } = diff({
    keys: ours,
    desired: (key) => desired.get(key),
    observed,
    claim: (key): Pick<Claim, "resource" | "previous" | "found"> | undefined => {
      const resource = was.get(key) ?? (keys.has(key) ? undefined : desired.get(key));
      // What was found at first is in the node's own journal: that it will be put back is known, the value is not.
      return resource && { resource, previous: null, found: isSettingKind(resource.kind) ? { value: null } : null };
    },
  });
  preview.steps = [...build, ...remove].map((step) => previewStep(step, connections));
  return preview;
}

function holds(node: StoredNode, { interface: name, address }: AddressResource): boolean {
  const own = node.facts?.interfaces.find((one) => one.name === name);
  return own?.addresses.some((one) => one.address === address) ?? false;
}

function resolved(
  fragment: Fragment,
  node: StoredNode,
  health: ServiceHealth | undefined,
  problem: (code: string, message: string) => void,
): Resource[] {
  try {
    return resolveFragment(fragment, node.facts!, health);
  } catch (error) {
    if (!(error instanceof ResolveError)) throw error;
    problem(error.reason, error.message);
    return [];
  }
}

/** What the director last said that its checks mean for a service; a new one is well until they speak. */
function healthIn(report: LiveReport | undefined, { id }: Fragment): ServiceHealth | undefined {
  const said = report?.health.get(id);
  if (!said) return undefined;
  const out = said.realServers.filter(({ isOut }) => isOut).map(({ realServerId }) => realServerId);
  return { mode: said.mode, out: new Set(out) };
}

/** What the node's kernel holds of these keys: its own word where it gave one, else what it was told. */
function kernelOf(
  keys: ReadonlySet<string>,
  was: ReadonlyMap<string, Resource>,
  rows: ReadonlyMap<string, TableRow>,
  isAdopted: (key: string) => boolean,
  onForeign: (key: string, row: TableRow) => void,
): { ours: Set<string>; observed: Map<string, Resource> } {
  const ours = new Set<string>();
  const observed = new Map<string, Resource>();
  for (const key of keys) {
    const row = rows.get(key);
    const before = was.get(key);
    if (row?.state === "foreign" && !before) {
      if (isAdopted(key) && row.resource) {
        ours.add(key);
        observed.set(key, row.resource as unknown as Resource);
        continue;
      }
      onForeign(key, row);
      continue;
    }
    ours.add(key);
    if (before && row?.state !== "missing") observed.set(key, asObserved(before));
  }
  return { ours, observed };
}

/** A kernel holds a number where a plan may ask for a least one. */
function asObserved(resource: Resource): Resource {
  if (resource.kind !== "sysctl" || resource.value !== undefined) return resource;
  return { ...resource, value: String(resource.atLeast) };
}

function previewStep(step: Step, connections: ReadonlyMap<string, TouchedConnections>): PreviewStep {
  const isTouching = step.op === "delete" || (step.op === "update" && isQuiesced(step.from, step.to));
  const touched = isTouching ? connections.get(keyOf(step)) : undefined;
  return { ...sentenceOf(step), commands: commandsFor(step), connections: touched ?? null };
}

/** Weight 0 takes no new connection, and lets go of persistent clients. */
function isQuiesced(from: Resource, to: Resource): boolean {
  return from.kind === "ipvsDestination" && to.kind === "ipvsDestination" && from.weight > 0 && to.weight === 0;
}

/** Counted connections by the key of the service or destination in the director's kernel. */
function connectionsByKey(state: FleetState, counters: readonly ServiceCountersView[]): Map<string, TouchedConnections> {
  const byKey = new Map<string, TouchedConnections>();
  for (const { serviceId, at, realServers } of counters) {
    const spec = state.services.get(serviceId)?.spec;
    if (!spec || at === null) continue;
    const service = resourceKey.ipvsService(spec.protocol, spec.vip, spec.port);
    byKey.set(service, sum(realServers));
    for (const { realServerId, active, inactive } of realServers) {
      const server = spec.realServers.find((one) => one.id === realServerId);
      if (server) byKey.set(resourceKey.ipvsDestination(service, server.rip, server.port ?? spec.port), { active, inactive });
    }
  }
  return byKey;
}

function sum(parts: readonly TouchedConnections[]): TouchedConnections {
  return parts.reduce((all, one) => ({ active: all.active + one.active, inactive: all.inactive + one.inactive }), {
    active: 0,
    inactive: 0,
  });
}
