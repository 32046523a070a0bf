import { runLoad, startLoad, until } from "@trigon/lab";
import type { GroupMoveView } from "@trigon/model";
import { expect, test } from "vitest";
import { demoServices } from "../../infra/demo/services.ts";
import { createService } from "../../infra/demo/world.ts";
import { pairOf, peerOf } from "./pair-of.ts";
import { useWorld } from "./use-world.ts";

const world = useWorld();
const vip = "10.2.0.100";
const { groupNow, put, becomes, ready, holders, told } = pairOf(world);

test("a group becomes a pair in service, its VIPs move on demand, and it becomes single again", {
  timeout: 600_000,
}, async () => {
  await createService(world.api, demoServices.find(({ forwarding }) => forwarding === "dr")!);
  await until("the VIP to be bound", async () => (await holders(vip)).length === 1, { deadlineMs: 60_000 });
  await put({ mode: "vrrp" });
  await ready();
  const [before, ...more] = await holders(vip);
  expect(more).toEqual([]);
  const view = await groupNow();
  expect(view.members.find(({ name }) => name === before)).toMatchObject({ role: "master", isReady: true });
  expect(view.members.find(({ name }) => name !== before)).toMatchObject({ role: "backup", isReady: true });

  const load = await startLoad(world.lab.host("client"), { targets: [`${vip}:80`], rate: 10, held: 8 });
  await until("held connections to be known to the peer", async () => (await told(peerOf(before!))) >= 8, { deadlineMs: 30_000 });
  const move = await world.api.call<GroupMoveView>("POST", `/director-groups/${view.id}/move`, {});
  expect(move.id).toBeTruthy();
  await until("the peer to hold the VIP", async () => ![before, ""].includes((await holders(vip)).join()), {
    deadlineMs: 60_000,
  });
  const done = async () =>
    (await world.api.call<{ data: GroupMoveView[] }>("GET", `/director-groups/${view.id}/moves`)).data[0]?.state === "done";
  await until("the move to be told", done, { deadlineMs: 60_000 });
  // A connection that is silent for three seconds is one that was lost: so long new ones are made.
  const after = await runLoad(world.lab.host("client"), { targets: [`${vip}:80`], seconds: 5, rate: 5 });
  expect(after.failed).toBe(0);
  const { heldFailed, failed } = await load.stop();
  console.log(`moved: ${failed} failed, ${heldFailed} held connections lost`);
  expect(heldFailed).toBe(0);

  await put({ mode: "single" });
  await becomes("single");
  await until("one holder without VRRP", async () => (await holders(vip)).length === 1, { deadlineMs: 60_000 });
});
