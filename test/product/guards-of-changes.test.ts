import { until } from "@trigon/lab";
import type { ChangeView, GuardView, VirtualServiceView } from "@trigon/model";
import { afterEach, beforeAll, expect, test } from "vitest";
import { demoServices } from "../../infra/demo/services.ts";
import { createService } from "../../infra/demo/world.ts";
import { ipvsTable, sql } from "./oracles.ts";
import { ifMatch, useWorld } from "./use-world.ts";

const world = useWorld();
const host = () => world.lab.host("dir1");
const table = () => ipvsTable(host());
let service: VirtualServiceView;
let before: string;

beforeAll(async () => {
  service = await createService(world.api, demoServices.find(({ forwarding }) => forwarding === "nat")!);
  before = await table();
}, 300_000);

const becomes = (what: string, expected: (now: string) => boolean) =>
  until(what, async () => expected(await table()), { deadlineMs: 60_000 });
const isEdited = (now: string) => now.includes(`-t ${service.vip}:${service.port} -s lc`);
/** What the database says of a guard. */
const guardOf = async (id: string) =>
  (await sql<GuardView>(world.databaseUrl, `SELECT state, reason, message FROM "changeGuard" WHERE "changeId" = $1`, [id]))[0]!;

/** Saves another scheduler under a guard, and answers the change. */
async function edit(guard: string): Promise<ChangeView> {
  const path = `/virtual-services/${service.id}`;
  await world.api.call("PATCH", `${path}?guard=${guard}`, { scheduler: "lc" }, await ifMatch(world.api, path));
  const { data } = await world.api.call<{ data: ChangeView[] }>("GET", `/changes?limit=1&query=${service.id}`);
  return data[0]!;
}

/** Undoes by hand what a test left. */
afterEach(async () => {
  const { data } = await world.api.call<{ data: ChangeView[] }>("GET", `/changes?limit=1&query=${service.id}`);
  if (isEdited(await table())) await world.api.call("POST", `/changes/${data[0]!.id}/undo`);
  await becomes("the table to be as before", (now) => now === before);
});

test("an operator's guard that nobody keeps puts the kernel back by itself", { timeout: 180_000 }, async () => {
  const change = await edit("operator&guardSeconds=15");
  await becomes("the edit to be in the kernel", isEdited);
  await becomes("the kernel to hold again what it held", (now) => now === before);
  expect(await guardOf(change.id)).toMatchObject({ state: "undone", reason: "expired" });
});

test("one that is kept stays beyond its deadline", { timeout: 180_000 }, async () => {
  const change = await edit("operator&guardSeconds=10");
  await becomes("the edit to be in the kernel", isEdited);
  await world.api.call("POST", `/changes/${change.id}/keep`);
  const deadline = Date.parse(change.guard!.deadline);
  await until("the deadline to be well past", () => Date.now() > deadline + 4_000, { deadlineMs: 60_000 });
  expect(isEdited(await table())).toBe(true);
  expect(await guardOf(change.id)).toMatchObject({ state: "kept", reason: "pressed" });
});

test("a node that comes back with the change has it kept by itself", { timeout: 180_000 }, async () => {
  const change = await edit("reachability");
  await until("the guard to be decided", async () => (await guardOf(change.id)).state === "kept", { deadlineMs: 60_000 });
  expect(isEdited(await table())).toBe(true);
});

test("a director that is cut off as soon as it holds the change: it is taken back, and the kernel follows", async () => {
  // What the director says is held back for a moment, so that it is cut off after it applied the change and before that was heard.
  const { port } = new URL(world.agentUrl);
  const rule = `OUTPUT -p tcp --dport ${port} -j DROP`;
  const cut = `iptables-legacy -I ${rule}; tc qdisc del dev mgmt0 root`;
  await host().sh("tc qdisc add dev mgmt0 root netem delay 1500ms");
  try {
    const waiting = host().sh(
      `n=0; until ipvsadm -Sn | grep -q -- '-t ${service.vip}:${service.port} -s lc'; do n=$((n+1)); [ $n -lt 400 ] || break; sleep 0.05; done; ${cut}`,
    );
    const change = await edit("reachability&guardSeconds=20");
    await waiting;
    expect(isEdited(await table())).toBe(true);
    await until("the guard to be decided", async () => (await guardOf(change.id)).state !== "pending", { deadlineMs: 90_000 });
    expect(await guardOf(change.id)).toEqual({ state: "undone", reason: "unreachable", message: "dir1" });
  } finally {
    await host().sh(`iptables-legacy -D ${rule}; tc qdisc del dev mgmt0 root 2>/dev/null; true`);
  }
  await becomes("the kernel to hold again what it held", (now) => now === before);
}, 240_000);
