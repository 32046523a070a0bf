import type { DirectorGroupFragment, DirectorVipFragment, GroupReport } from "@trigon/model";
import { VrrpSpec } from "@trigon/model";
import fc from "fast-check";
import { expect, test } from "vitest";
import { nodeOf, singleGroup } from "../test/fleet.ts";
import { type FleetGroup, type FleetVrrp, fleetOf, type NodeReport } from "./fleet.ts";
import { groupStep, membersOf, planGroup } from "./group.ts";
import { planVip } from "./plan-fragments.ts";

const ids = ["node_d1", "node_d2", "node_d3"] as const;
const vips = ["192.0.2.10", "192.0.2.11"];
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("take" as const), node: fc.constantFrom(...ids) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("say" as const), node: fc.constantFrom(...ids) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("mode" as const), isWanted: fc.boolean(), node: fc.constantFrom(...ids) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("fall" as const), node: fc.constantFrom(...ids) }) },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

interface Held {
  generation: number;
  group: DirectorGroupFragment | undefined;
  vip: DirectorVipFragment | undefined;
}

/** Directors whose keepaliveds hear one another: whoever takes part elects one at once. Plans and reports come as late as they like. */
class Pair {
  readonly fleet = fleetOf(ids.map((id, index) => nodeOf(id, `192.0.2.${index + 2}`)));
  sequence = 1;
  group: FleetGroup = singleGroup;
  readonly held = new Map<string, Held>();
  readonly reports = new Map<string, NodeReport>();
  master: string | null = null;

  constructor() {
    for (const id of ids) this.take(id);
  }

  happen(event: Step): void {
    if (event.kind === "take") this.take(event.node);
    else if (event.kind === "say") this.say(event.node);
    else if (event.kind === "mode") this.mode(event.isWanted, event.node);
    else if (this.master === event.node) this.elect(event.node);
  }

  mode(isWanted: boolean, activeNodeId: string): void {
    const { vrrp } = this.group;
    // In mode single another holder is a release, which is tested elsewhere; here only the mode changes.
    const holder = vrrp && vrrp.joined.length > 0 ? activeNodeId : this.group.activeNodeId;
    const fresh = {
      name: "g",
      spec: VrrpSpec.parse({}),
      virtualRouterId: 1,
      joined: [],
      leaving: [],
      preferred: null,
      joinedSequence: 0,
    };
    const nodes = ids.map((id) => this.fleet.node(id)!);
    if (!vrrp && !isWanted) return;
    const preferred = isWanted ? null : { nodeId: holder!, generation: this.sequence + 1 };
    this.put({ ...(vrrp ?? fresh), isWanted, preferred, members: membersOf({ members: [] }, nodes) }, holder);
  }

  put(vrrp: FleetVrrp, activeNodeId: string | null): void {
    this.sequence++;
    const isOver = !vrrp.isWanted && vrrp.joined.length + vrrp.leaving.length === 0;
    this.group = { ...this.group, activeNodeId, vrrp: isOver ? null : vrrp };
    this.settle();
  }

  settle(): void {
    for (;;) {
      const report = (id: string) => this.reports.get(id);
      const next = groupStep({ group: this.group, vips, fleet: this.fleet, report, sequence: this.sequence + 1 });
      if (!next) return;
      this.sequence++;
      const vrrp = { ...this.group.vrrp!, ...next, joinedSequence: this.sequence };
      const isOver = !vrrp.isWanted && vrrp.joined.length + vrrp.leaving.length === 0;
      this.group = { ...this.group, vrrp: isOver ? null : vrrp };
    }
  }

  take(id: string): void {
    const { group, fleet, sequence: generation } = this;
    const before = this.held.get(id);
    const held = {
      generation,
      group: planGroup({ group, vips, generation, fleet }).get(id),
      vip: planVip({ vip: vips[0]!, generation, group, fleet }).get(id),
    };
    this.held.set(id, held);
    const takesPart = held.group !== undefined;
    if (before?.group && !takesPart && this.master === id) this.elect(id);
    else if (takesPart && this.master === null) this.master = id;
    const preferred = this.held.get(this.master ?? "")?.group?.preferred?.nodeId;
    if (preferred && this.held.get(preferred)?.group) this.master = preferred;
  }

  /** The master is out: another one that takes part, if there is any. */
  elect(out: string): void {
    const others = ids.filter((id) => id !== out && this.held.get(id)?.group);
    const isIn = this.held.get(out)?.group !== undefined;
    this.master = others[0] ?? (isIn ? out : null);
  }

  say(id: string): void {
    const { generation, group } = this.held.get(id)!;
    const fragments = new Map(
      group ? [[group.id, { id: group.id, hash: group.hash, state: "applied" as const, reason: null, message: null }]] : [],
    );
    const role = this.master === id ? ("master" as const) : ("backup" as const);
    const since = new Date(0).toISOString();
    const said: GroupReport = {
      ...{ groupId: "dg_1", role, since, transitions: [], syncDaemons: [] },
      ...{ isReady: true, preferredGeneration: null, findings: [] },
    };
    this.reports.set(id, { generation, fragments, groups: new Map(group ? [["dg_1", said]] : []) });
    this.settle();
  }

  holders(): string[] {
    return ids.filter((id) => this.held.get(id)?.vip?.heldBy === "agent" || this.master === id);
  }
}

test("however the mode changes and however late members act and speak, exactly one holds the VIPs", { timeout: 60_000 }, () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const pair = new Pair();
      for (const event of steps) {
        pair.happen(event);
        expect({ event, holders: pair.holders().length }).toEqual({ event, holders: 1 });
      }
    }),
    { numRuns: 400 },
  );
});

test("once members have acted and spoken the mode is what was wanted", { timeout: 60_000 }, () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 30, size: "max" }),
      fc.boolean(),
      fc.constantFrom(...ids),
      (steps, isWanted, node) => {
        const pair = new Pair();
        for (const event of steps) pair.happen(event);
        pair.mode(isWanted, node);
        for (let round = 0; round < 8; round++) for (const id of ids) [pair.take(id), pair.say(id)];
        expect(pair.group.vrrp?.joined.toSorted() ?? []).toEqual(isWanted ? [...ids] : []);
        expect(pair.group.vrrp?.leaving ?? []).toEqual([]);
        if (!isWanted) expect(pair.holders()).toEqual([pair.group.activeNodeId]);
      },
    ),
    { numRuns: 200 },
  );
});
