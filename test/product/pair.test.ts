import { runLoad, startLoad, until } from "@trigon/lab";
import type { DirectorGroupView, GroupMoveView } from "@trigon/model";
import { expect, test } from "vitest";
import { demoServices } from "../../infra/demo/services.ts";
import { createService } from "../../infra/demo/world.ts";
import { ifMatch, useWorld } from "./use-world.ts";

const world = useWorld();
const vip = "10.2.0.100";
const names = ["dir1", "dir2"];

/** By `ip`: on which directors the VIP is bound. */
async function holders(): Promise<string[]> {
  const bound = await Promise.all(
    names.map(async (name) => ((await world.lab.host(name).sh("ip -o addr")).includes(` ${vip}/`) ? [name] : [])),
  );
  return bound.flat();
}

const groupNow = async () =>
  (await world.api.call<{ data: DirectorGroupView[] }>("GET", "/director-groups")).data.find(
    ({ members }) => members.length === 2,
  )!;

async function setMode(mode: "single" | "vrrp"): Promise<void> {
  const { id, revision: _revision, members: _members, status: _status, ...spec } = await groupNow();
  const path = `/director-groups/${id}`;
  await world.api.call("PUT", path, { ...spec, mode }, await ifMatch(world.api, path));
}
const becomes = (phase: DirectorGroupView["status"]["phase"]) =>
  until(`the group to be ${phase}`, async () => (await groupNow()).status.phase === phase, { deadlineMs: 120_000, everyMs: 250 });

test("a group becomes a pair in service, its VIPs move on demand, and it becomes single again", {
  timeout: 600_000,
}, async () => {
  await createService(world.api, demoServices.find(({ forwarding }) => forwarding === "dr")!);
  await until("the VIP to be bound", async () => (await holders()).length === 1, { deadlineMs: 60_000 });
  await setMode("vrrp");
  await becomes("paired");
  await until("a peer that could take over", async () => (await groupNow()).status.move.toNodeId !== null, {
    deadlineMs: 60_000,
  });
  const [before, ...more] = await holders();
  expect(more).toEqual([]);
  const view = await groupNow();
  expect(view.members.find(({ name }) => name === before)).toMatchObject({ role: "master", isReady: true });
  expect(view.members.find(({ name }) => name !== before)).toMatchObject({ role: "backup", isReady: true });

  const load = await startLoad(world.lab.host("client"), { targets: [`${vip}:80`], rate: 10, held: 8 });
  const known = async () =>
    Number(
      await world.lab.host(names.find((name) => name !== before)!).sh("grep -c ESTABLISHED.*SYNC /proc/net/ip_vs_conn_sync || :"),
    );
  await until("held connections to be known to the peer", async () => (await known()) >= 8, { deadlineMs: 30_000 });
  const move = await world.api.call<GroupMoveView>("POST", `/director-groups/${view.id}/move`, {});
  expect(move.id).toBeTruthy();
  await until("the peer to hold the VIP", async () => ![before, ""].includes((await holders()).join()), { deadlineMs: 60_000 });
  const done = async () =>
    (await world.api.call<{ data: GroupMoveView[] }>("GET", `/director-groups/${view.id}/moves`)).data[0]?.state === "done";
  await until("the move to be told", done, { deadlineMs: 60_000 });
  // A connection that is silent for three seconds is one that was lost: so long new ones are made.
  const after = await runLoad(world.lab.host("client"), { targets: [`${vip}:80`], seconds: 5, rate: 5 });
  expect(after.failed).toBe(0);
  const { heldFailed, failed } = await load.stop();
  console.log(`moved: ${failed} failed, ${heldFailed} held connections lost`);
  expect(heldFailed).toBe(0);

  await setMode("single");
  await becomes("single");
  await until("one holder without VRRP", async () => (await holders()).length === 1, { deadlineMs: 60_000 });
});
