import { type FleetRow, Prisma, type Transaction } from "@trigon/db";
import type { GroupReport } from "@trigon/model";
import { canonicalJson, type Gate, type GateInput, gateChanges, groupStep, hasLetGoOfVips } from "@trigon/planner";
import type { Call } from "./actor.ts";
import { rowsOf, type StoredGate, type StoredGroup, type StoredNode, type StoredService } from "./fleet-rows.ts";
import { FleetState } from "./fleet-state.ts";
import { newId } from "./new-id.ts";
import { addDifference, planAddress, planDirectorGroup, planService, samePlan } from "./plan-store.ts";
import { type AuditEventName, auditRow, type ChangeRecord, type Records, writeRecords } from "./record.ts";

export type ReportOf = GateInput["report"];

/** A release that a director did not confirm for this long is forced, and audited. */
export const releaseDeadlineMs = 10 * 60_000;

/**
 * One configuration write in the making: the newest state, changed in memory first. `settle` lets gates go on and finds out which services
 * and VIPs are touched; `save` writes the rows. All of it happens under the fleet's lock.
 */
export class Draft {
  readonly state: FleetState;
  readonly #base: FleetState;
  readonly #tx: Transaction;
  readonly #report: ReportOf;
  readonly #isConnected: (nodeId: string) => boolean;
  readonly #now: Date;
  readonly sequence: number;
  readonly #call: Call;
  readonly #services = new Set<string>();
  readonly #candidates = new Set<string>();
  readonly #nodes = new Set<string>();
  readonly #groups = new Set<string>();
  readonly #vips = new Set<string>();
  #undoOf: string | null = null;
  readonly #changes: Records["changes"] = [];
  readonly #audits: Records["audits"] = [];

  constructor(options: {
    base: FleetState;
    tx: Transaction;
    fleet: Pick<FleetRow, "sequence">;
    report: ReportOf;
    isConnected: (nodeId: string) => boolean;
    now: number;
    call: Call;
  }) {
    this.#base = options.base;
    this.state = new FleetState(options.base);
    this.#tx = options.tx;
    this.#report = options.report;
    this.#isConnected = options.isConnected;
    this.#now = new Date(options.now);
    this.sequence = options.fleet.sequence;
    this.#call = options.call;
  }

  get tx(): Transaction {
    return this.#tx;
  }

  get now(): Date {
    return this.#now;
  }

  /** Puts a service in as it shall be; its sequence becomes this write's. */
  putService(service: Omit<StoredService, "sequence">): void {
    const before = this.state.services.get(service.id);
    this.state.putService({ ...service, sequence: this.sequence });
    this.#services.add(service.id);
    this.#candidates.add(service.id);
    for (const groupId of new Set([before?.spec.directorGroupId, service.spec.directorGroupId])) {
      if (groupId && this.#base.hasFullNat(groupId) !== this.state.hasFullNat(groupId)) this.#touchTracked();
    }
  }

  putNode(node: Omit<StoredNode, "sequence">): void {
    const before = this.state.nodes.get(node.id);
    this.state.putNode({ ...node, sequence: this.sequence });
    this.#nodes.add(node.id);
    for (const group of this.state.groupsOf(node)) this.touchGroupServices(group.id);
    const addresses = new Set([...addressesOf(before), ...addressesOf({ ...node, sequence: 0 })]);
    for (const { id, spec, gates } of this.state.services.values()) {
      const isOwner = spec.realServers.some(({ nodeId, rip }) => nodeId === node.id || addresses.has(rip));
      if (isOwner || gates.some((gate) => isInGate(gate, node.id))) this.#candidates.add(id);
    }
  }

  putGroup(group: Omit<StoredGroup, "sequence">): void {
    this.state.groups.set(group.id, { ...group, sequence: this.sequence });
    this.#groups.add(group.id);
    this.touchGroupServices(group.id);
    this.#touchTracked();
  }

  /** The first and the last full NAT service of a director change how its DR and Tunnel services are tracked, those of its other groups too. */
  #touchTracked(): void {
    for (const group of this.state.liveGroups()) {
      const before = this.#base.groups.get(group.id);
      if (before && this.#base.sharesFullNat(before) !== this.state.sharesFullNat(group)) this.touchGroupServices(group.id);
    }
  }

  /** Looks at these services' gates again. */
  touch(serviceIds: Iterable<string>): void {
    for (const id of serviceIds) this.#candidates.add(id);
  }

  touchGroupServices(groupId: string): void {
    for (const { id, spec } of this.state.services.values()) if (spec.directorGroupId === groupId) this.#candidates.add(id);
  }

  /** What this write records takes that change back. */
  undoes(changeId: string): void {
    this.#undoOf = changeId;
  }

  /** The changes recorded so far. */
  get changeIds(): string[] {
    return this.#changes.map(({ id }) => id);
  }

  /** Records a configuration change, with its author and both sides. */
  change(change: Omit<ChangeRecord, "generation" | "undoOf">): void {
    this.#changes.push({ ...change, id: newId("change"), generation: this.sequence, undoOf: this.#undoOf });
  }

  audit(event: AuditEventName, objectId: string | null, detail: Record<string, unknown> = {}): void {
    this.#audits.push(auditRow(this.#call, event, objectId, detail));
  }

  /** Lets gates and releases go on. Answers whether anything is to be written at all. */
  settle(): boolean {
    for (const group of this.state.liveGroups()) {
      if (group.releasingNodeId !== null && hasLetGoOfVips(this.state.fleetGroup(group), this.state.index, this.#report)) {
        this.putGroup({ ...group, releasingNodeId: null, releasingSequence: null });
      }
    }
    for (const { id } of this.state.liveGroups()) this.#stepGroup(id);
    for (const id of this.#candidates) this.#settleService(id);
    this.#settleVips();
    for (const { id } of this.state.liveGroups()) this.#settleGroup(id);
    return this.#services.size + this.#nodes.size + this.#groups.size + this.#vips.size > 0;
  }

  /** Lets members join and leave VRRP, as far as what they said allows. */
  #stepGroup(id: string): void {
    const group = this.state.group(id);
    const fleetGroup = this.state.fleetGroup(group);
    if (fleetGroup.vrrp === null) return;
    const step = groupStep({
      group: fleetGroup,
      vips: this.state.groupVips(id),
      fleet: this.state.index,
      report: this.#report,
      sequence: this.sequence,
    });
    if (!step) return;
    const isMoved = step.joined.join() !== group.joined.join();
    this.putGroup({ ...group, ...step, joinedSequence: isMoved ? this.sequence : group.joinedSequence });
    this.audit("directorGroup.membersMoved", id, { joined: [...step.joined], leaving: step.leaving.map(({ nodeId }) => nodeId) });
  }

  /** What members must know of their group is another thing when its VIPs or what members are became another. */
  #settleGroup(id: string): void {
    if (this.#groups.has(id) || samePlan(planDirectorGroup(this.#base, id), planDirectorGroup(this.state, id))) return;
    this.state.groups.set(id, { ...this.state.group(id), sequence: this.sequence });
    this.#groups.add(id);
  }

  #settleService(id: string): void {
    const service = this.state.services.get(id);
    const input = service && this.state.planInput(service);
    if (!service || !input) return;
    const isOverdue = overdue(service, this.#now.getTime());
    const changes = gateChanges({ ...input, report: this.#report, sequence: this.sequence, isOverdue });
    if (changes.length > 0) {
      const gates = nextGates(service.gates, changes, this.#now);
      this.state.putService({ ...service, gates, sequence: this.sequence });
      this.#services.add(id);
      this.#noteGates(service.gates, gates, isOverdue);
    } else if (!this.#services.has(id) && !samePlan(planService(this.#base, id), planService(this.state, id))) {
      this.state.putService({ ...service, sequence: this.sequence });
      this.#services.add(id);
    }
  }

  #noteGates(before: readonly StoredGate[], after: readonly StoredGate[], isOverdue: (gate: Gate) => boolean): void {
    for (const gate of after) {
      const old = before.find((one) => sameGateName(one, gate));
      if (gate.state === old?.state || gate.state === "waiting") continue;
      this.#auditGate(gate.state === "open" ? "gate.opened" : "gate.releasing", gate);
    }
    for (const gate of before) {
      if (after.some((one) => sameGateName(one, gate))) continue;
      this.#auditGate(gate.state === "releasing" && isOverdue(gate) ? "gate.releaseForced" : "gate.released", gate);
    }
  }

  #auditGate(event: AuditEventName, { serviceId, realServerId, directorNodeId }: Gate): void {
    this.audit(event, serviceId, { realServerId, directorNodeId });
  }

  /** VIPs come and go with the services that need them, floating addresses with their group's spec. */
  #settleVips(): void {
    const touched = new Set<string>();
    for (const id of this.#services) {
      const needs = [this.#base, this.state].map((state) => {
        const service = state.services.get(id);
        return new Set(service ? state.vipsOf(service).map((vip) => `${service.spec.directorGroupId} ${vip}`) : []);
      });
      for (const need of symmetricDifference(needs[0]!, needs[1]!)) touched.add(need.split(" ")[1]!);
    }
    const floating = new Map(
      this.state.liveGroups().flatMap(({ id, floatingAddresses }) => floatingAddresses.map((address) => [address, id] as const)),
    );
    for (const id of this.#groups) for (const address of this.state.groups.get(id)!.floatingAddresses) touched.add(address);
    for (const vip of this.state.vips.values()) {
      if (this.#groups.has(vip.directorGroupId) || (this.#nodes.size > 0 && !vip.deletedAt)) touched.add(vip.address);
    }
    if (touched.size === 0) return;
    const owners = new Map(floating);
    for (const service of this.state.services.values()) {
      for (const vip of this.state.vipsOf(service)) if (touched.has(vip)) owners.set(vip, service.spec.directorGroupId);
    }
    for (const address of touched) {
      const old = this.state.vips.get(address);
      const owner = owners.get(address);
      if (owner === undefined) {
        if (old && !old.deletedAt) this.#putVip({ ...old, deletedAt: this.#now });
      } else if (!old || old.deletedAt || old.directorGroupId !== owner) {
        this.#putVip({ address, directorGroupId: owner, deletedAt: null });
      } else if (!samePlan(planAddress(this.#base, address), planAddress(this.state, address))) {
        this.#putVip(old);
      }
    }
  }

  #putVip(vip: { address: string; directorGroupId: string; deletedAt: Date | null }): void {
    this.state.vips.set(vip.address, { ...vip, sequence: this.sequence });
    this.#vips.add(vip.address);
  }

  /** The services and VIPs that this write touches, as far as is known by now. */
  get touched(): { serviceIds: ReadonlySet<string>; vips: ReadonlySet<string>; groupIds: ReadonlySet<string> } {
    return { serviceIds: this.#services, vips: this.#vips, groupIds: this.#groups };
  }

  /** The drafts that would follow this one if every node did at once what it is told, until nothing waits any more. Nothing is saved. */
  foresee(): Draft[] {
    const drafts: Draft[] = [];
    for (let last: Draft = this; drafts.length < foreseenSteps; last = drafts.at(-1)!) {
      const base = last.state;
      const next = new Draft({
        base,
        tx: this.#tx,
        fleet: { sequence: last.sequence + 1 },
        report: obedient(base, this.#services),
        isConnected: this.#isConnected,
        now: this.#now.getTime(),
        call: this.#call,
      });
      next.touch(this.#services);
      if (!next.settle()) break;
      drafts.push(next);
    }
    return drafts;
  }

  /** Writes every touched row. */
  async save(): Promise<void> {
    for (const id of this.#groups) await this.#saveGroup(this.state.groups.get(id)!);
    for (const id of this.#nodes) await this.#saveNode(this.state.nodes.get(id)!);
    const services = [...this.#services].map((id) => ({
      before: this.#base.services.get(id),
      after: this.state.services.get(id)!,
    }));
    for (const { before, after } of services) if (!isOnlyTouched(before, after)) await this.#saveService(before, after);
    const touched = services.filter(({ before, after }) => isOnlyTouched(before, after)).map(({ after }) => after.id);
    if (touched.length > 0) {
      await this.#tx.virtualService.updateMany({ where: { id: { in: touched } }, data: { sequence: this.sequence } });
    }
    await this.#saveGates(services);
    for (const address of this.#vips) {
      const vip = this.state.vips.get(address)!;
      await this.#tx.vip.upsert({ where: { address }, create: vip, update: vip });
    }
    const concernedNodeIds = [...this.#concernedNodes()];
    await writeRecords(this.#tx, this.#call, { changes: this.#changes, concernedNodeIds, audits: this.#audits }, this.#now);
    await this.#saveGuards();
  }

  /** What takes this write's changes back unless they are kept: it waits for the nodes of all that follows from them, too. */
  async #saveGuards(): Promise<void> {
    const { guard } = this.#call;
    if (!guard || this.#changes.length === 0) return;
    const concerned = new Set([this, ...this.foresee()].flatMap((draft) => [...draft.#concernedNodes()]));
    const awaited = [...concerned].filter(this.#isConnected).sort();
    const deadline = new Date(this.#now.getTime() + guard.seconds * 1000);
    const data = this.#changes.map(({ id }) => ({ ...guard, changeId: id, deadline, awaited, reason: "waiting" }));
    await this.#tx.changeGuard.createMany({ data });
  }

  /** The nodes for which this write makes a difference. */
  #concernedNodes(): Set<string> {
    const nodes = new Set<string>();
    for (const id of this.#services) addDifference(planService(this.#base, id), planService(this.state, id), nodes);
    for (const address of this.#vips) addDifference(planAddress(this.#base, address), planAddress(this.state, address), nodes);
    for (const id of this.#groups) addDifference(planDirectorGroup(this.#base, id), planDirectorGroup(this.state, id), nodes);
    return nodes;
  }

  async #saveGroup(group: StoredGroup): Promise<void> {
    const { id, name, mode, activeNodeId, floatingAddresses, ping, manageFirewall, releasingNodeId, releasingSequence } = group;
    const {
      virtualRouterId,
      joined,
      joinedSequence,
      leaving,
      preferredNodeId,
      preferredSequence,
      revision,
      sequence,
      deletedAt,
    } = group;
    const spec = {
      name,
      mode,
      activeNodeId,
      vrrp: json(group.vrrp),
      floatingAddresses: [...floatingAddresses],
      ping,
      manageFirewall,
    };
    const pair = {
      virtualRouterId,
      joined: [...joined],
      joinedSequence,
      leaving: leaving as unknown as Prisma.InputJsonValue,
      preferredNodeId,
      preferredSequence,
    };
    const progress = { releasingNodeId, releasingSequence, ...pair };
    const data = { id, ...spec, ...progress, revision, sequence, deletedAt, updatedAt: this.#now };
    if (this.#base.groups.has(id)) await this.#tx.directorGroup.update({ where: { id }, data });
    else await this.#tx.directorGroup.create({ data: { ...data, createdAt: this.#now } });
  }

  async #saveNode(node: StoredNode): Promise<void> {
    const data = {
      id: node.id,
      name: node.name,
      role: node.role,
      directorGroupId: node.directorGroupId,
      index: node.index,
      state: node.state,
      certSerial: node.certSerial,
      certExpiresAt: node.certExpiresAt,
      certAccepted: [...node.certAccepted],
      facts: node.facts === null ? Prisma.DbNull : (node.facts as Prisma.InputJsonValue),
      machineId: node.machineId,
      agentVersion: node.agentVersion,
      revision: node.revision,
      sequence: node.sequence,
      enrolledAt: node.enrolledAt,
      updatedAt: this.#now,
    };
    await this.#tx.node.upsert({ where: { id: node.id }, create: data, update: data });
  }

  async #saveService(before: StoredService | undefined, after: StoredService): Promise<void> {
    const { id, spec, revision, sequence, createdAt, updatedAt, deletedAt, releasedAt } = after;
    const { columns, realServers } = rowsOf(id, spec);
    const data = { revision, sequence, updatedAt, deletedAt, releasedAt };
    if (!before) await this.#tx.virtualService.create({ data: { id, ...columns, ...data, createdAt } });
    else await this.#tx.virtualService.update({ where: { id }, data: before.spec === spec ? data : { ...columns, ...data } });
    if (before && canonicalJson(before.spec.realServers) === canonicalJson(spec.realServers)) return;
    await this.#tx.$executeRaw`
      WITH gone AS (
        DELETE FROM "realServer" WHERE "serviceId" = ${id} AND NOT (id = ANY (${realServers.map((server) => server.id)}::text[])))
      INSERT INTO "realServer" SELECT * FROM jsonb_populate_recordset(NULL::"realServer", ${JSON.stringify(realServers)}::jsonb)
      ON CONFLICT (id) DO UPDATE SET position = excluded.position, rip = excluded.rip, port = excluded.port, weight = excluded.weight,
        forwarding = excluded.forwarding, "upperThreshold" = excluded."upperThreshold", "lowerThreshold" = excluded."lowerThreshold",
        "nodeId" = excluded."nodeId", "adminState" = excluded."adminState", drain = excluded.drain`;
  }

  async #saveGates(services: readonly { before: StoredService | undefined; after: StoredService }[]): Promise<void> {
    const gone = services.flatMap(({ before, after }) => (before?.gates ?? []).filter((gate) => !after.gates.includes(gate)));
    const fresh = services.flatMap(({ before, after }) => after.gates.filter((gate) => !before?.gates.includes(gate)));
    if (gone.length > 0) {
      await this.#tx.$executeRaw`
        DELETE FROM gate USING unnest(${gone.map((gate) => gate.realServerId)}::text[], ${gone.map((gate) => gate.directorNodeId)}::text[])
          AS gone(server, director) WHERE "realServerId" = gone.server AND "directorNodeId" = gone.director`;
    }
    if (fresh.length > 0) await this.#tx.gate.createMany({ data: fresh.map(gateRow) });
  }
}

/** A change of real servers takes three steps to the end (ready, admitted, let go); a few more cost nothing. */
const foreseenSteps = 8;

/** Reports of nodes that hold exactly what these services plan for them. */
function obedient(state: FleetState, serviceIds: ReadonlySet<string>): ReportOf {
  const groups = state.liveGroups();
  const plans = [...serviceIds].map((id) => planService(state, id));
  return (nodeId) => ({
    generation: Number.MAX_SAFE_INTEGER,
    fragments: new Map(
      plans
        .flatMap((plan) => plan.get(nodeId) ?? [])
        .map(({ id, hash }) => [id, { id, hash, state: "applied", reason: null, message: null }]),
    ),
    groups: new Map(groups.map((group) => [group.id, obedientMember(group, nodeId)])),
  });
}

/** A member in the role that its group's plan asks of it. */
function obedientMember({ id, joined, activeNodeId }: StoredGroup, nodeId: string): GroupReport {
  const holder = activeNodeId !== null && joined.includes(activeNodeId) ? activeNodeId : joined[0];
  const role = nodeId === holder ? "master" : "backup";
  const since = new Date(0).toISOString();
  return { groupId: id, role, since, transitions: [], syncDaemons: [], isReady: true, preferredGeneration: null, findings: [] };
}

/** Whether only gates, or what others are, made a difference to a service. */
function isOnlyTouched(before: StoredService | undefined, after: StoredService): boolean {
  return (
    before !== undefined &&
    before.spec === after.spec &&
    before.revision === after.revision &&
    before.deletedAt === after.deletedAt
  );
}

const symmetricDifference = (a: ReadonlySet<string>, b: ReadonlySet<string>): string[] => [
  ...[...a].filter((one) => !b.has(one)),
  ...[...b].filter((one) => !a.has(one)),
];
const json = (value: unknown) => (value === null ? Prisma.DbNull : (value as Prisma.InputJsonValue));

function gateRow(gate: StoredGate) {
  return {
    serviceId: gate.serviceId,
    realServerId: gate.realServerId,
    directorNodeId: gate.directorNodeId,
    state: gate.state,
    since: gate.since,
    wanted: json(gate.wanted),
    admitted: json(gate.admitted),
    releasing: gate.releasing as unknown as Prisma.InputJsonValue,
  };
}

function nextGates(gates: readonly StoredGate[], changes: ReturnType<typeof gateChanges>, now: Date): StoredGate[] {
  const changed = new Map(changes.map((change) => [nameOf(change.gate), change]));
  const kept = gates.flatMap((gate): StoredGate[] => {
    const change = changed.get(nameOf(gate));
    if (!change) return [gate];
    changed.delete(nameOf(gate));
    if (change.op === "drop") return [];
    return [{ ...change.gate, since: change.gate.state === gate.state ? gate.since : now }];
  });
  const fresh = [...changed.values()].flatMap(({ op, gate }): StoredGate[] => (op === "put" ? [{ ...gate, since: now }] : []));
  return [...kept, ...fresh];
}

const nameOf = (gate: Gate) => `${gate.realServerId} ${gate.directorNodeId}`;
const sameGateName = (a: Gate, b: Gate) => nameOf(a) === nameOf(b);

/** Whether one of a service's gates has been as it is for longer than a release may take. */
export function overdue(service: StoredService, now: number): (gate: Gate) => boolean {
  return (gate) => {
    const stored = service.gates.find((one) => sameGateName(one, gate));
    return stored !== undefined && now - stored.since.getTime() > releaseDeadlineMs;
  };
}

/** Whether a gate waits for, or is about, this node. */
export function isInGate({ directorNodeId, wanted, admitted, releasing }: Gate, nodeId: string): boolean {
  return (
    directorNodeId === nodeId ||
    wanted?.nodeId === nodeId ||
    admitted?.nodeId === nodeId ||
    releasing.some(({ endpoint }) => endpoint.nodeId === nodeId)
  );
}

function addressesOf(node: StoredNode | undefined): string[] {
  return node?.facts?.interfaces.flatMap(({ addresses }) => addresses.map(({ address }) => address)) ?? [];
}
