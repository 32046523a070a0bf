import type { DirectorGroupFragment, DirectorGroupSpec, GroupReport, GroupRole } from "@trigon/model";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { everyScope } from "./actor.ts";
import { createRest } from "./rest.ts";
import { createTestFleet, factsOf, secretKey, specOf, type TestAgent, type TestFleet } from "./testing/fleet.ts";

let fleet: TestFleet;
let first: TestAgent;
let second: TestAgent;
let server: TestAgent;
let groupId: string;

beforeAll(async () => {
  fleet = await createTestFleet();
  first = await fleet.enroll("director", factsOf("lb-1", "192.0.2.2"));
  second = await fleet.enroll("director", factsOf("lb-2", "192.0.2.3"));
  server = await fleet.enroll("realServer", factsOf("rs-1", "192.0.2.11"));
  groupId = (await fleet.caller.directorGroup.list({})).data[0]!.id;
  await fleet.caller.virtualService.create({ spec: specOf() });
  for (let round = 0; round < 3; round++) for (const agent of [first, second, server]) await agent.turn();
});
afterAll(() => fleet.close());

const group = () => fleet.caller.directorGroup.get({ id: groupId });
const stored = async () =>
  (await fleet.database.sql(`SELECT mode, joined, leaving, "virtualRouterId" FROM "directorGroup" WHERE id = $1`, [groupId]))[0];

type Change = Partial<Omit<DirectorGroupSpec, "vrrp">> & { vrrp?: Partial<DirectorGroupSpec["vrrp"]> };
async function specNow(change: Change) {
  const { name, mode, activeNodeId, vrrp, ping, manageFirewall } = await group();
  return { name, mode, activeNodeId, ping, manageFirewall, ...change, vrrp: { ...vrrp, ...change.vrrp } };
}
const put = async (change: Change) =>
  fleet.caller.directorGroup.replace({ id: groupId, revision: "*", spec: await specNow(change) });
const refusal = (change: Change) =>
  put(change).then(
    () => [],
    (error) => error.cause.fields.map(({ pointer, code }: { pointer: string; code: string }) => `${pointer} ${code}`),
  );

const fragmentOf = (agent: TestAgent) => agent.fragments.get(`dg:${groupId}`) as unknown as DirectorGroupFragment | undefined;
const heldBy = (agent: TestAgent) => (agent.fragments.get("dv:192.0.2.100") as unknown as { heldBy: string } | undefined)?.heldBy;
const kinds = (agent: TestAgent) => [...agent.fragments.values()].map(({ kind }) => kind).toSorted();

/** What members tell, each role since a second of its own. */
const told = new Map<TestAgent, { role: GroupRole; at: string }[]>();
async function say(agent: TestAgent, role: GroupRole, at = new Date().toISOString(), more: Partial<GroupReport> = {}) {
  const before = told.get(agent) ?? [];
  const transitions = before.at(-1)?.role === role ? before : [...before, { role, at }];
  told.set(agent, transitions);
  await agent.fetch();
  const one = { groupId, role, since: transitions.at(-1)!.at, transitions, syncDaemons: [], isReady: true };
  await agent.report({ groups: [{ ...one, preferredGeneration: null, findings: [], ...more }] });
}
const until = (what: () => Promise<unknown>, wanted: unknown) => expect.poll(what, { timeout: 8_000 }).toEqual(wanted);

test("what is wrong with a pair is said field by field", async () => {
  const other = await fleet.caller.directorGroup.create({ spec: { name: "edge", mode: "vrrp", vrrp: { virtualRouterId: 7 } } });
  const third = (await fleet.caller.enrollmentToken.create({ spec: { role: "director", directorGroupId: other.id } })).token;
  expect(third).toBeTruthy();
  const one = { nodeId: first.nodeId, priority: 100 };
  const members = (...list: { nodeId: string; priority: number }[]) => refusal({ mode: "vrrp", vrrp: { members: list } });
  expect(await members(one, { nodeId: second.nodeId, priority: 100 })).toEqual(["/vrrp/members/1/priority member.priorityTaken"]);
  expect(await members(one, { ...one, priority: 90 })).toEqual(["/vrrp/members/1/nodeId member.duplicate"]);
  expect(await members(one, { nodeId: server.nodeId, priority: 90 })).toEqual(["/vrrp/members/1/nodeId node.unknown"]);
  expect(await refusal({ mode: "vrrp", vrrp: { virtualRouterId: 7 } })).toEqual(["/vrrp/virtualRouterId vrrp.routerIdTaken"]);
  expect(await refusal({ mode: "vrrp", vrrp: { interface: "eth9" } })).toEqual([
    "/vrrp/interface vrrp.noInterface",
    "/vrrp/interface vrrp.noInterface",
  ]);
  for (const vrrp of [
    { advertMs: 5 },
    { advertMs: 105 },
    { virtualRouterId: 256 },
    { members: [{ ...one, priority: 255 }] },
    { interface: "a b" },
  ])
    await expect(put({ mode: "vrrp", vrrp })).rejects.toMatchObject({ cause: { code: "input.invalid" } });
  expect(await stored()).toEqual({ mode: "single", joined: [], leaving: [], virtualRouterId: null });
  expect((await fleet.caller.directorGroup.get({ id: other.id })).status.findings).toMatchObject([{ code: "group.alone" }]);
  await fleet.caller.directorGroup.delete({ id: other.id, revision: "*" });
});

test("a preview says what members would do, and writes nothing", async () => {
  const before = await fleet.database.sql(`SELECT sequence FROM fleet`);
  const preview = await fleet.caller.directorGroup.preview({
    action: "replace",
    id: groupId,
    revision: "*",
    spec: await specNow({ mode: "vrrp" }),
  });
  expect(
    preview.nodes
      .filter(({ role }) => role === "director")
      .map(({ nodeName, steps }) => [nodeName, steps.find(({ code }) => code.endsWith(".vrrp"))?.code]),
  ).toEqual([
    ["lb-1", "create.vrrp"],
    ["lb-2", "create.vrrp"],
  ]);
  expect(await fleet.database.sql(`SELECT sequence FROM fleet`)).toEqual(before);
});

test("into VRRP goes the holder first, and the others when it says that it is master", async () => {
  await put({ mode: "vrrp" });
  expect(await stored()).toEqual({ mode: "vrrp", joined: [first.nodeId], leaving: [], virtualRouterId: 1 });
  for (const agent of [first, second]) await agent.fetch();
  expect([heldBy(first), fragmentOf(first)?.vips, fragmentOf(first)?.others]).toEqual(["vrrp", ["192.0.2.100"], []]);
  expect([heldBy(second), fragmentOf(second)]).toEqual([undefined, undefined]);
  expect(await group()).toMatchObject({
    status: { phase: "joining", findings: [{ code: "group.changing", meta: { nodes: "lb-2" } }] },
  });
  await say(first, "backup");
  expect(await stored()).toMatchObject({ joined: [first.nodeId] });
  await say(first, "master");
  await until(stored, { mode: "vrrp", joined: [first.nodeId, second.nodeId], leaving: [], virtualRouterId: 1 });
  for (const agent of [first, second, server]) await agent.turn();
  await say(first, "master");
  await say(second, "backup");
  for (const agent of [server, first, second]) await agent.fetch();
  expect(kinds(second)).toEqual(["director.group", "director.service", "director.vip"]);
  expect(fragmentOf(first)).toMatchObject({
    virtualRouterId: 1,
    priority: 200,
    addresses: ["192.0.2.2"],
    others: [{ nodeId: second.nodeId }],
  });
  expect(fragmentOf(second)).toMatchObject({
    priority: 190,
    addresses: ["192.0.2.3"],
    others: [{ addresses: ["192.0.2.2"], priority: 200 }],
  });
  expect(await group()).toMatchObject({
    members: [
      { name: "lb-1", isActive: true, role: "master", priority: 200, isJoined: true },
      { name: "lb-2", isActive: false, role: "backup", priority: 190, isJoined: true },
    ],
    status: { phase: "paired", holderNodeId: first.nodeId, findings: [], move: { toNodeId: second.nodeId, refusal: null } },
  });
});

test("a change of the group is news to its members only, and a VIP more to them too", async () => {
  const ids = async () => {
    const plan = await first.fetch();
    return plan.fragments.map(({ id }) => id.replace(/:.*/, "")).toSorted();
  };
  await ids();
  await put({ vrrp: { advertMs: 200 } });
  expect(await ids()).toEqual(["dg"]);
  await server.turn();
  const changes = await fleet.caller.change.list({ query: "default" });
  expect(changes.data[0]!.outcomes.map(({ nodeName }) => nodeName).toSorted()).toEqual(["lb-1", "lb-2"]);
  const { id } = await fleet.caller.virtualService.create({
    spec: specOf({ name: "more", vip: "192.0.2.101", forwarding: "nat" }),
  });
  expect(await ids()).toEqual(["dg", "ds", "dv"]);
  expect(fragmentOf(first)?.vips).toEqual(["192.0.2.100", "192.0.2.101"]);
  await fleet.caller.virtualService.delete({ id, revision: "*" });
  await first.turn();
  await second.turn();
});

test("two that say they are master are a finding, and so are verdicts that differ", async () => {
  const [service] = (await fleet.caller.virtualService.list({})).data;
  const realServerId = service!.realServers[0]!.id;
  const health = (verdict: string) => {
    const one = {
      realServerId,
      verdict,
      isOut: false,
      reason: null,
      message: null,
      latencyMs: null,
      since: new Date().toISOString(),
    };
    return [{ fragmentId: `ds:${service!.id}`, mode: "checked", realServers: [one] }] as never;
  };
  for (const [agent, verdict] of [
    [first, "up"],
    [second, "down"],
  ] as const) {
    const { role, at } = told.get(agent)!.at(-1)!;
    const said = { groupId, role: "master" as const, since: at, transitions: [], syncDaemons: [], isReady: true };
    expect(role).toBeTruthy();
    await agent.report({ health: health(verdict), groups: [{ ...said, preferredGeneration: null, findings: [] }] });
  }
  expect((await group()).status.findings).toMatchObject([
    { code: "group.splitBrain", meta: { nodes: "lb-1, lb-2" } },
    { code: "group.verdictsDiffer", meta: { rip: "192.0.2.11", up: "lb-1", down: "lb-2" } },
  ]);
  await say(first, "master");
  await say(second, "backup");
  expect((await group()).status.findings).toEqual([]);
  // One runs another version, and cannot carry out a part of its plan.
  await second.fetch();
  const refused = second
    .composed()
    .fragments.map((state) =>
      state.id === `ds:${service!.id}` ? { ...state, state: "unsupported" as const, message: "unknown scheduler mh" } : state,
    );
  await second.report({ agentVersion: "0.9.0", fragments: refused });
  expect((await group()).status.findings).toMatchObject([
    { code: "group.versionsDiffer", meta: { versions: "lb-1 1.0.0, lb-2 0.9.0" } },
    { code: "group.plansDiffer", meta: { node: "lb-2", service: "web", message: "unknown scheduler mh" } },
  ]);
  await say(second, "backup");
  expect((await group()).status.findings).toEqual([]);
});

describe("moving the VIPs", () => {
  const rows = () =>
    fleet.database.sql(`SELECT kind, state, reason, "gapMs", "backGapMs", "startedBy" FROM "groupMove" ORDER BY "startedAt"`);
  const wish = async () => {
    await second.fetch();
    return fragmentOf(second)?.preferred?.nodeId ?? null;
  };
  beforeEach(async () => {
    told.clear();
    await say(first, "master");
    await say(second, "backup");
  });

  test("is refused with the reason when the peer is not ready", async () => {
    await say(second, "backup", undefined, { isReady: false });
    const refused = (call: Promise<unknown>) => expect(call).rejects;
    await refused(fleet.caller.directorGroup.move({ id: groupId })).toMatchObject({
      cause: { code: "group.notReady", fields: [{ code: "member.notReady", meta: { node: "lb-2" } }] },
    });
    await refused(fleet.caller.directorGroup.drill({ id: groupId, spec: { toNodeId: first.nodeId } })).toMatchObject({
      cause: { fields: [{ code: "member.holds" }] },
    });
    await say(second, "fault");
    await refused(fleet.caller.directorGroup.move({ id: groupId })).toMatchObject({
      cause: { fields: [{ code: "member.notBackup" }] },
    });
    expect(await rows()).toEqual([]);
  });

  test("is told by the plan, measured by both members, and kept", async () => {
    const started = await fleet.caller.directorGroup.move({ id: groupId });
    expect(started).toMatchObject({
      kind: "move",
      state: "moving",
      from: { name: "lb-1" },
      to: { name: "lb-2" },
      startedBy: "ada",
    });
    expect((await fleet.caller.directorGroup.move({ id: groupId })).id).toBe(started.id);
    await expect(fleet.caller.directorGroup.drill({ id: groupId })).rejects.toMatchObject({ cause: { code: "group.moving" } });
    expect(await wish()).toBe(second.nodeId);
    const at = Date.now();
    await say(first, "backup", new Date(at).toISOString());
    await say(second, "master", new Date(at + 2_000).toISOString());
    await until(async () => (await rows())[0]?.state, "done");
    const [row] = await rows();
    expect(row).toMatchObject({ kind: "move", reason: "", backGapMs: null, startedBy: "ada" });
    // The members' clocks are the same here; how long a report took is what is left.
    expect(row!.gapMs).toBeGreaterThan(1_000);
    expect(row!.gapMs).toBeLessThan(3_000);
    const audits = await fleet.database.sql(`SELECT event FROM "auditEvent" WHERE event LIKE 'directorGroup.move%' ORDER BY at`);
    expect(audits).toMatchObject([{ event: "directorGroup.moveAsked" }, { event: "directorGroup.moveDone" }]);
  });

  test("as a drill comes back, and both ways are kept", async () => {
    await fleet.caller.directorGroup.drill({ id: groupId });
    expect(await wish()).toBe(second.nodeId);
    await say(first, "backup");
    await say(second, "master");
    await until(wish, first.nodeId);
    await say(second, "backup");
    await say(first, "master");
    await until(async () => (await rows()).at(-1)?.state, "done");
    const [drill] = (await fleet.caller.directorGroup.moves({ id: groupId })).data;
    expect(drill).toMatchObject({ kind: "drill", state: "done", to: { name: "lb-2" } });
    expect([typeof drill!.gapMs, typeof drill!.backGapMs]).toEqual(["number", "number"]);
  });

  test("that nobody carries out fails at its deadline, and is not carried out later", async () => {
    await fleet.caller.directorGroup.move({ id: groupId });
    expect(await wish()).toBe(second.nodeId);
    fleet.clock.aheadMs += 21_000;
    await until(async () => (await rows()).at(-1)?.state, "failed");
    expect((await rows()).at(-1)).toMatchObject({ reason: "move.timeout", gapMs: null });
    await until(wish, null);
  });

  test("by REST: POST …/move and …/drill for those who may write nodes", async () => {
    const rest = createRest({ db: fleet.db, secretKey });
    const ask = async (path: string, scopes: readonly ("read" | "node:write")[], body?: unknown, method = "POST") => {
      const request = new Request(`https://192.0.2.250:8443/api/v1/director-groups/${groupId}/${path}`, {
        method,
        headers: { "content-type": "application/json" },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const answer = await rest(request, {
        services: fleet.api.services,
        actor: { kind: "token", name: "ci", scopes },
        requestId: "r",
      });
      return { status: answer.status, body: await answer.json() };
    };
    expect((await ask("move", ["read"])).status).toBe(403);
    expect(await ask("move", everyScope as never, { toNodeId: first.nodeId })).toMatchObject({
      status: 409,
      body: { code: "group.notReady", errors: [{ pointer: "/toNodeId", code: "member.holds" }] },
    });
    expect(await ask("drill", ["node:write"])).toMatchObject({
      status: 200,
      body: { kind: "drill", state: "moving", startedBy: "ci" },
    });
    const listed = await ask("moves", ["read"], undefined, "GET");
    expect(listed).toMatchObject({
      status: 200,
      body: { data: expect.arrayContaining([expect.objectContaining({ startedBy: "ci" })]) },
    });
    fleet.clock.aheadMs += 21_000;
    await until(async () => (await rows()).at(-1)?.state, "failed");
  });
});

test("a member that retires leaves the list, and the others go on", async () => {
  const third = await fleet.enroll("director", factsOf("lb-3", "192.0.2.4"));
  const members = [first, second, third].map(({ nodeId }, index) => ({ nodeId, priority: 150 - index }));
  await put({ vrrp: { members } });
  await say(first, "master");
  await until(async () => (await stored())!.joined, [first.nodeId, second.nodeId, third.nodeId]);
  await say(third, "backup");
  await fleet.caller.node.decommission({ id: third.nodeId, revision: "*" });
  expect((await group()).vrrp.members.map(({ nodeId }) => nodeId)).toEqual([first.nodeId, second.nodeId]);
  expect(await stored()).toMatchObject({ joined: [first.nodeId, second.nodeId], leaving: [{ nodeId: third.nodeId }] });
  const others = async () => {
    await first.fetch();
    return fragmentOf(first)?.others.map(({ name }) => name);
  };
  await until(others, ["lb-2", "lb-3"]);
  await third.fetch();
  await third.report({ groups: [] });
  await until(async () => (await stored())!.leaving, []);
  await put({ vrrp: { members: [] } });
});

test("out of VRRP the VIPs go to the member named, the others let go, and only then it holds them by itself", async () => {
  expect(await refusal({ mode: "single", activeNodeId: null })).toEqual(["/activeNodeId group.holderRequired"]);
  await say(first, "master");
  await say(second, "backup");
  const earlier = fragmentOf(first)?.preferred?.generation ?? 0;
  await put({ mode: "single", activeNodeId: second.nodeId });
  for (const agent of [first, second]) await agent.fetch();
  expect(fragmentOf(first)?.preferred?.nodeId).toBe(second.nodeId);
  expect(fragmentOf(first)?.preferred?.generation).toBeGreaterThan(earlier);
  expect([heldBy(first), heldBy(second)]).toEqual(["vrrp", "vrrp"]);
  await say(first, "backup");
  await say(second, "master");
  await until(async () => (await stored())!.joined, [second.nodeId]);
  expect(await stored()).toMatchObject({ leaving: [{ nodeId: first.nodeId }] });
  const held = (agent: TestAgent) => async () => {
    await agent.fetch();
    return [heldBy(agent), fragmentOf(agent)?.groupId];
  };
  await until(held(first), [undefined, undefined]);
  expect(await held(second)()).toEqual(["vrrp", groupId]);
  await first.report({ groups: [] });
  await say(second, "master");
  await until(stored, { mode: "single", joined: [], leaving: [], virtualRouterId: 1 });
  await until(held(second), ["agent", undefined]);
  expect((await group()).status).toMatchObject({ phase: "single", holderNodeId: second.nodeId });
});

test("rows of before this was are groups in mode single", async () => {
  await fleet.database.sql(`UPDATE "directorGroup" SET vrrp = NULL WHERE id = $1`, [groupId]);
  const replica = await fleet.replica();
  try {
    expect(await replica.caller.directorGroup.get({ id: groupId })).toMatchObject({
      mode: "single",
      vrrp: { advertMs: 100, members: [] },
    });
  } finally {
    await replica.close();
  }
});
