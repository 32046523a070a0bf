import { capture, fetchAnswers, startLoad, until } from "@trigon/lab";
import type { GroupMoveView } from "@trigon/model";
import { afterAll, expect, test } from "vitest";
import { demoServices } from "../../infra/demo/services.ts";
import { createService } from "../../infra/demo/world.ts";
import { pairOf, peerOf } from "./pair-of.ts";
import { deleteService, useWorld } from "./use-world.ts";

const world = useWorld();
const host = (name: string) => world.lab.host(name);
const vip = "10.2.0.102";
/** The NAT real servers' way back, and the source that full NAT real servers see: both move with the VIPs. */
const [gateway, source] = ["10.4.0.254", "10.4.0.253"];

afterAll(async () => {
  for (const name of ["rs5", "rs6"]) await host(name).sh("ip route replace default via 10.4.0.11");
});

const { groupNow, put, becomes, ready, holders, told } = pairOf(world);
/** Where rs5 finds its gateway, by its own kernel. */
const neighbour = async () =>
  (await host("rs5").json<{ dst: string; lladdr?: string }[]>(["ip", "-j", "neigh", "show", gateway]))[0]?.lladdr;

test("a NAT gateway and a SNAT source move with the VIPs, and no connection is lost", { timeout: 900_000 }, async () => {
  await put({ floatingAddresses: [gateway, source] });
  await until(
    "one director to hold both",
    async () => (await holders(gateway)).length === 1 && (await holders(source)).length === 1,
    {
      deadlineMs: 60_000,
    },
  );
  for (const name of ["rs5", "rs6"]) await host(name).sh(`ip route replace default via ${gateway}`);
  const services = [
    await createService(world.api, demoServices.find(({ forwarding }) => forwarding === "nat")!),
    await createService(world.api, {
      ...{ name: "snat", vip: "10.2.0.105", port: 80, forwarding: "fullnat", snatSource: source, scheduler: "rr" },
      realServers: [{ rip: "10.4.0.25", port: 8080 }],
    }),
  ];
  expect((await fetchAnswers(host("client"), "10.2.0.105:80", { count: 2 })).map(({ src }) => src)).toEqual([source, source]);

  await put({ mode: "vrrp" });
  await ready();
  const [from] = await holders(vip);
  const to = peerOf(from!);
  expect([await holders(gateway), await holders(source)]).toEqual([[from], [from]]);
  const load = await startLoad(host("client"), { targets: [`${vip}:80`], rate: 10, held: 8 });
  await until("held connections to be known to the peer", async () => (await told(to)) >= 8, { deadlineMs: 30_000 });
  const { id } = await groupNow();
  await world.api.call<GroupMoveView>("POST", `/director-groups/${id}/move`, {});
  for (const address of [vip, gateway, source])
    await until(`the peer to hold ${address}`, async () => (await holders(address)).join() === to, { deadlineMs: 60_000 });
  await until("rs5 to find its gateway there", async () => (await neighbour()) === host(to).mac("eth1"), { deadlineMs: 30_000 });
  const replies = await capture(host(to), "src host 10.4.0.25 and tcp src port 8080", "eth1");
  const answers = await fetchAnswers(host("client"), "10.2.0.105:80", { count: 4 });
  expect(answers.map(({ src }) => src)).toEqual([source, source, source, source]);
  await replies.waitFor(/10\.4\.0\.25\.8080 > 10\.4\.0\.253\./);
  await replies.stop();
  const { ok, failed, heldFailed } = await load.stop();
  console.log(`gateway moved: ${ok} connections, ${failed} failed, ${heldFailed} held ones lost`);
  expect({ failed, heldFailed }).toEqual({ failed: 0, heldFailed: 0 });

  await put({ mode: "single", activeNodeId: (await groupNow()).members.find(({ name }) => name === to)!.nodeId });
  await becomes("single");
  await until("one holder of the gateway", async () => (await holders(gateway)).join() === to, { deadlineMs: 60_000 });
  // The VIP pauses while keepalived gives it to the agent.
  const isServed = async () => (await fetchAnswers(host("client"), `${vip}:80`, { count: 4, timeoutSeconds: 2 })).length === 4;
  await until("the VIP to serve again", isServed, { deadlineMs: 30_000 });
  for (const one of services) await deleteService(world.api, one.id);
  await put({ floatingAddresses: [], activeNodeId: (await groupNow()).members.find(({ name }) => name === "dir1")!.nodeId });
  await until("nobody to hold the gateway", async () => (await holders(gateway)).length === 0, { deadlineMs: 60_000 });
});
