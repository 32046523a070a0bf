import {
  type DirectorGroupSpec,
  type DirectorGroupView,
  fragmentId,
  type GroupFinding,
  type GroupMemberView,
} from "@trigon/model";
import { fragmentIdsOf, membersOf } from "@trigon/planner";
import type { StoredGroup, StoredNode } from "./fleet-rows.ts";
import type { ViewSources } from "./views.ts";

/** Who holds a group's VIPs: the member named, or by their own word the one that is master; null: nobody, as far as is known. */
export function holderOf({ state, live }: Pick<ViewSources, "state" | "live">, groupId: string): string | null {
  const group = state.groups.get(groupId);
  if (!group) return null;
  if (group.joined.length === 0) return group.activeNodeId;
  const masters = group.joined
    .flatMap((nodeId) => {
      const said = live.report(nodeId)?.groups.get(groupId);
      return said?.role === "master" ? [{ nodeId, since: said.since, isConnected: live.isConnected(nodeId) }] : [];
    })
    // Who is gone still counts for what it last said, but after those that speak; of several the newest took over.
    .toSorted((a, b) => Number(b.isConnected) - Number(a.isConnected) || b.since.localeCompare(a.since));
  return masters[0]?.nodeId ?? null;
}

/** The group's members, and what they said of it. */
export function groupView(sources: ViewSources, group: StoredGroup): DirectorGroupView {
  const { state } = sources;
  const holder = holderOf(sources, group.id);
  const isPair = group.mode === "vrrp" || group.joined.length > 0;
  const nodes = state.members(group.id).filter((node) => node.state === "active" || node.state === "quarantined");
  const own = nodes.filter((node) => node.directorGroupId === group.id);
  const priorities = new Map(membersOf(group.vrrp, own).map(({ nodeId, priority }) => [nodeId, priority]));
  const members = nodes
    .map((node) => memberView(sources, group, node, holder, isPair ? (priorities.get(node.id) ?? null) : null))
    .toSorted((a, b) => (b.priority ?? 0) - (a.priority ?? 0) || a.name.localeCompare(b.name, "en"));
  const spec: DirectorGroupSpec = {
    name: group.name,
    mode: group.mode,
    activeNodeId: group.activeNodeId,
    vrrp: group.vrrp,
    ping: group.ping,
    floatingAddresses: [...group.floatingAddresses],
    manageFirewall: group.manageFirewall,
  };
  return {
    ...spec,
    id: group.id,
    revision: group.revision,
    members,
    status: {
      phase: phaseOf(group, members),
      holderNodeId: holder,
      virtualRouterId: group.virtualRouterId,
      vips: state
        .groupVips(group.id)
        .filter((address) => !group.floatingAddresses.includes(address))
        .toSorted(),
      move: moveOf(group, members, null),
      lastTakeover: lastTakeover(sources, group),
      findings: isPair ? findingsOf(sources, group, members) : [],
    },
  };
}

function memberView(
  { live }: ViewSources,
  group: StoredGroup,
  { id, name }: StoredNode,
  holder: string | null,
  priority: number | null,
): GroupMemberView {
  const report = live.report(id);
  const said = report?.groups.get(group.id);
  const isJoined = group.joined.includes(id);
  return {
    nodeId: id,
    name,
    isActive: id === holder,
    isConnected: live.isConnected(id),
    priority,
    isJoined,
    role: said?.role ?? null,
    since: said?.since ?? null,
    isReady: said?.isReady ?? null,
    syncDaemons: said?.syncDaemons ?? [],
    findings: [...(said?.findings ?? []), ...fragmentTrouble(report?.fragments.get(fragmentId.directorGroup(group.id)))],
  };
}

function fragmentTrouble(state: { state: string; message: string | null; reason: string | null } | undefined): GroupFinding[] {
  if (!state || state.state === "applied") return [];
  const message = state.message ?? state.reason ?? state.state;
  return [{ code: `member.${state.state}`, message, meta: { message } }];
}

function phaseOf(group: StoredGroup, members: readonly GroupMemberView[]): DirectorGroupView["status"]["phase"] {
  if (group.mode === "vrrp") {
    const isWhole = members.every(({ priority, isJoined }) => priority === null || isJoined);
    return isWhole && group.leaving.length === 0 ? "paired" : "joining";
  }
  return group.joined.length + group.leaving.length > 0 ? "leaving" : "single";
}

/** Who would take the VIPs if they were moved now: the fittest standby, or the one asked for; `refusal` when they cannot be. */
export function moveOf(
  group: Pick<StoredGroup, "mode" | "name">,
  members: readonly GroupMemberView[],
  toNodeId: string | null,
): DirectorGroupView["status"]["move"] {
  const refuse = (code: string, message: string, meta?: GroupFinding["meta"]) => ({
    toNodeId: null,
    refusal: { code, message, ...(meta ? { meta } : {}) },
  });
  if (group.mode !== "vrrp") return refuse("group.notPaired", `"${group.name}" is not in mode vrrp.`, { group: group.name });
  const holder = members.find(({ isActive }) => isActive);
  if (!holder) return refuse("group.noHolder", "No member says that it holds the VIPs.");
  const asked = toNodeId === null ? undefined : members.find(({ nodeId }) => nodeId === toNodeId);
  if (toNodeId !== null && !asked) return refuse("member.unknown", "This is no member of the group.");
  if (asked?.isActive) return refuse("member.holds", `${asked.name} holds the VIPs already.`, { node: asked.name });
  const standby = asked ? [asked] : members.filter(({ isActive, priority }) => !isActive && priority !== null);
  if (standby.length === 0) return refuse("group.alone", "There is no other member.");
  const reasons = standby.map((member) => ({ member, reason: unfitReason(member) }));
  const fit = reasons.find(({ reason }) => reason === null);
  if (fit) return { toNodeId: fit.member.nodeId, refusal: null };
  return { toNodeId: null, refusal: reasons[0]!.reason };
}

/** Why a member cannot take the VIPs now; null: it can. */
function unfitReason({ name, isConnected, isJoined, role, isReady, findings }: GroupMemberView): GroupFinding | null {
  const meta = { node: name };
  if (!isConnected) return { code: "member.away", message: `${name} is not connected.`, meta };
  if (!isJoined) return { code: "member.notJoined", message: `${name} does not take part yet.`, meta };
  if (role === null) return { code: "member.silent", message: `${name} has not said yet what it is in the group.`, meta };
  if (role !== "backup")
    return { code: "member.notBackup", message: `${name} is not standing by (${role}).`, meta: { ...meta, role } };
  const catchingUp = findings.find(({ code }) => code === "member.catchingUp");
  if (!isReady && catchingUp) return catchingUp;
  if (!isReady) return { code: "member.notReady", message: `${name} does not hold all services of its plan yet.`, meta };
  return null;
}

function lastTakeover({ state, live }: ViewSources, group: StoredGroup): DirectorGroupView["status"]["lastTakeover"] {
  const masters = state.members(group.id).flatMap(({ id }) => {
    const said = live.report(id)?.groups.get(group.id);
    return (said?.transitions ?? []).flatMap(({ at, role }) => (role === "master" ? [{ nodeId: id, at }] : []));
  });
  return masters.toSorted((a, b) => b.at.localeCompare(a.at))[0] ?? null;
}

/** What the controller sees of all members together, and no member by itself. */
function findingsOf(sources: ViewSources, group: StoredGroup, members: readonly GroupMemberView[]): GroupFinding[] {
  const pair = members.filter(({ priority }) => priority !== null);
  const findings: GroupFinding[] = [];
  const add = (code: string, message: string, meta?: GroupFinding["meta"]) =>
    findings.push({ code, message, ...(meta ? { meta } : {}) });
  if (group.mode === "vrrp" && pair.length < 2)
    add("group.alone", "With fewer than two members nobody takes over when one fails.");
  const masters = members.filter(({ role, isConnected }) => role === "master" && isConnected);
  const names = masters.map(({ name }) => name).join(", ");
  if (masters.length > 1) add("group.splitBrain", `More than one member holds the VIPs: ${names}.`, { nodes: names });
  const isTold = pair.length > 0 && pair.every(({ role, isConnected }) => role !== null && isConnected);
  if (masters.length === 0 && isTold && sources.state.groupVips(group.id).length > 0)
    add("group.noHolder", "No member says that it holds the VIPs.");
  const waited = [
    ...members
      .filter(({ isJoined, priority }) => group.mode === "vrrp" && priority !== null && !isJoined)
      .map(({ name }) => name),
    ...group.leaving.map(({ nodeId }) => sources.state.nodes.get(nodeId)?.name ?? nodeId),
  ];
  if (waited.length > 0) {
    const nodes = [...new Set(waited)].join(", ");
    add("group.changing", `The mode is being changed step by step; not there yet: ${nodes}.`, { nodes });
  }
  const versions = members.flatMap(({ nodeId, name }) => {
    const version = sources.state.nodes.get(nodeId)?.agentVersion;
    return version == null ? [] : [{ name, version }];
  });
  if (new Set(versions.map(({ version }) => version)).size > 1) {
    const text = versions.map(({ name, version }) => `${name} ${version}`).join(", ");
    add("group.versionsDiffer", `The members run different versions: ${text}.`, { versions: text });
  }
  return [...findings, ...planDifferences(sources, group), ...verdictDifferences(sources, group)];
}

/** Services that one member holds as planned and another does not: with its reason, since after a takeover it would be served otherwise. */
function planDifferences({ state, live }: ViewSources, group: StoredGroup): GroupFinding[] {
  const said = group.joined
    .filter((id) => live.isConnected(id))
    .flatMap((id) => {
      const report = live.report(id);
      return report ? [{ name: state.nodes.get(id)?.name ?? id, fragments: report.fragments }] : [];
    });
  if (said.length < 2) return [];
  return state
    .liveServices()
    .filter(({ spec }) => spec.directorGroupId === group.id)
    .flatMap(({ id, spec }) => {
      const [fragment] = fragmentIdsOf(id);
      const states = said.map(({ name, fragments }) => ({ name, said: fragments.get(fragment!) }));
      if (!states.some((one) => one.said?.state === "applied")) return [];
      return states.flatMap(({ name, said: one }): GroupFinding[] => {
        if (!one || one.state === "applied" || one.state === "waiting") return [];
        const meta = { node: name, service: spec.name, message: one.message ?? one.reason ?? one.state };
        return [
          { code: "group.plansDiffer", message: `${name} does not hold "${spec.name}" as the others do: ${meta.message}`, meta },
        ];
      });
    })
    .slice(0, 20);
}

/** Real servers that one member finds up and another down: from one of them the way is broken. */
function verdictDifferences({ state, live }: ViewSources, group: StoredGroup): GroupFinding[] {
  const said = group.joined
    .filter((id) => live.isConnected(id))
    .flatMap((id) => {
      const health = live.report(id)?.health;
      return health ? [{ name: state.nodes.get(id)?.name ?? id, health }] : [];
    });
  if (said.length < 2) return [];
  return state
    .liveServices()
    .filter(({ spec }) => spec.directorGroupId === group.id)
    .flatMap(({ id, spec }) => {
      const [fragment] = fragmentIdsOf(id);
      return spec.realServers.flatMap((server): GroupFinding[] => {
        const verdicts = said.flatMap(({ name, health }) => {
          const one = health.get(fragment!)?.realServers.find(({ realServerId }) => realServerId === server.id);
          return one && (one.verdict === "up" || one.verdict === "down") ? [{ name, up: one.verdict === "up" }] : [];
        });
        const down = verdicts.filter(({ up }) => !up).map(({ name }) => name);
        const up = verdicts.filter((one) => one.up).map(({ name }) => name);
        if (up.length === 0 || down.length === 0) return [];
        const meta = { service: spec.name, rip: server.rip, up: up.join(", "), down: down.join(", ") };
        const message = `${server.rip} of "${spec.name}" is up for ${meta.up} and down for ${meta.down}.`;
        return [{ code: "group.verdictsDiffer", message, meta }];
      });
    })
    .slice(0, 20);
}
