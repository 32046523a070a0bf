import { management, until } from "@trigon/lab";
import type { NodeView, VirtualServiceView } from "@trigon/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sql } from "./oracles.ts";
import { useWorld } from "./use-world.ts";

/** Where rs1 reaches the controller in this file: at the router, which passes it on. No node and no controller knows that address as its own. */
const relay = "10.2.0.50";
const world = useWorld();
const rs1 = () => world.lab.host("rs1");
const router = () => world.lab.host("router");
const port = () => new URL(world.agentUrl).port;

/** The same lines, put in (`-I`, `add`) and taken out (`-D`, `del`) again. */
const forwarding = (rule: "-I" | "-D", address: "add" | "del") => `
  iptables-legacy -t nat ${rule} PREROUTING -d ${relay} -p tcp --dport ${port()} -j DNAT --to ${management.gateway}:${port()}
  iptables-legacy -t nat ${rule} POSTROUTING -d ${management.gateway} -p tcp --dport ${port()} -j MASQUERADE
  ip address ${address} ${relay}/32 dev eth1`;
const straight = (rule: "-I" | "-D") =>
  `iptables-legacy ${rule} OUTPUT -d ${management.gateway} -p tcp --dport ${port()} -j REJECT --reject-with tcp-reset`;

const isHeld = async () => (await rs1().sh("ip -j address show dev lo")).includes(`"${relay}"`);
/** Asks with a connection of its own each time (one that stands may stand for minutes while nothing of it arrives), and names the way. */
const tellWay = () =>
  `if timeout 3 bash -c ': </dev/tcp/${relay}/${port()}' 2>/dev/null; then echo answered; else echo in vain; fi; ip route get ${relay}`;
const isThrough = async () => (await rs1().sh(tellWay())).startsWith("answered");
/** Whether the agent has come to the controller there. */
const isLinkedTo = async (address: string) => (await rs1().sh(`ss -Htn state established dst ${address}`)).trim() !== "";
const node = async () => {
  const { data } = await world.api.call<{ data: NodeView[] }>("GET", "/nodes?limit=100");
  return data.find(({ name }) => name === "rs1")!;
};
const isBack = async () => (await isThrough()) && (await node()).isConnected;
/** Waits, and says at the end what rs1 itself saw last. */
const waitFor = (what: string, condition: () => Promise<boolean>, deadlineMs: number, everyMs = 100) =>
  until(what, condition, { deadlineMs, everyMs }).catch(async (error: Error) => {
    const seen = await rs1().sh(`${tellWay()}; ip -br address show dev lo; tail -n 8 /run/units/trigon-agent.service.log`);
    throw new Error(`${error.message}\n${seen}`);
  });

beforeAll(async () => {
  await router().sh(`sysctl -qw net.ipv4.ip_forward=1; ${forwarding("-I", "add")}`);
  await rs1().sh(`sed 's/^.*controller$/${relay} controller/' /etc/hosts >/run/hosts && mount --bind /run/hosts /etc/hosts`);
  await rs1().sh(straight("-I"));
  await waitFor(
    "rs1 to reach the controller by way of the router",
    async () => (await isLinkedTo(relay)) && (await isBack()),
    90_000,
    250,
  );
}, 120_000);
afterAll(async () => {
  await rs1().sh(`${straight("-D")}; umount /etc/hosts`);
  // The next file begins with a connection that does not go by way of the router.
  await rs1().sh("kill -9 $(cat /run/units/trigon-agent.service.pid)");
  const isStraight = async () => (await isLinkedTo(management.gateway)) && (await node()).isConnected;
  await waitFor("rs1 to reach the controller straight", isStraight, 60_000);
  await router().sh(forwarding("-D", "del"));
}, 90_000);

test("a real server that a VIP cuts off from the controller takes the VIP off by itself, and the change is taken back", async () => {
  // The VIP is the very address by which rs1 reaches the controller: bound on its lo, all that rs1 sends there comes back to itself.
  const spec = { name: "trap", vip: relay, port: 8099, forwarding: "dr", scheduler: "rr", realServers: [{ rip: "10.2.0.21" }] };
  const { id } = await world.api.call<VirtualServiceView>("POST", "/virtual-services?guard=reachability&guardSeconds=20", spec);
  await waitFor("rs1 to hold the VIP", isHeld, 30_000, 50);
  const heldAt = performance.now();
  expect(await rs1().sh(tellWay())).toMatch(/^in vain\nlocal /);

  // An agent that is started anew goes on counting.
  await rs1().sh("kill -9 $(cat /run/units/trigon-agent.service.pid)");
  await waitFor("rs1 to let the VIP go", async () => !(await isHeld()), 60_000, 50);
  expect((performance.now() - heldAt) / 1000).toBeGreaterThan(15);
  expect((performance.now() - heldAt) / 1000).toBeLessThan(45);
  await waitFor("rs1 to be answered again", isThrough, 20_000);
  const journal = `${await rs1().readFile("/run/units/trigon-agent.service.log")}`;
  expect(journal).toMatch(
    /The controller was not reached within 20 s after generation \d+: what stood at generation \d+ was put back/,
  );

  await waitFor("rs1 to be back", isBack, 60_000, 200);
  const guards = () =>
    sql<{ state: string; reason: string; message: string }>(
      world.databaseUrl,
      `SELECT g.state, g.reason, g.message FROM "changeGuard" g JOIN change c ON c.id = g."changeId" WHERE c."objectId" = $1`,
      [id],
    );
  await waitFor("the guard to be decided", async () => (await guards()).every(({ state }) => state !== "pending"), 60_000);
  expect(await guards()).toEqual([{ state: "undone", reason: "unreachable", message: "rs1" }]);
  await waitFor("rs1 to hold what it should", async () => (await node()).sync.state === "inSync", 60_000);
  expect(await isHeld()).toBe(false);
  expect((await world.api.send("GET", `/api/v1/virtual-services/${id}`)).status).toBe(404);
}, 240_000);
