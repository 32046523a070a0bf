import fc from "fast-check";
import { expect, test } from "vitest";
import { nodeOf, World } from "../test/fleet.ts";

const nodes = ["node_d1", "node_d2", "node_r1", "node_r2"] as const;
const realServers = fc.subarray([
  { id: "rs_1", rip: "192.0.2.21" },
  { id: "rs_2", rip: "192.0.2.22" },
  { id: "rs_9", rip: "192.0.2.99" },
]);
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("take" as const), node: fc.constantFrom(...nodes) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("say" as const), node: fc.constantFrom(...nodes) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("settle" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("save" as const),
      realServers,
      vip: fc.constantFrom("192.0.2.10", "192.0.2.11"),
      forwarding: fc.constantFrom("dr", "tun", "nat"),
      encapsulation: fc.constantFrom("ipip", "gre"),
      enabled: fc.integer({ min: 0, max: 4 }).map((chance) => chance > 0),
    }),
  },
  fc.record({ kind: fc.constant("activate" as const), node: fc.constantFrom("node_d1", "node_d2") }),
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

function worldOf(): World {
  const addresses = { node_d1: "192.0.2.2", node_d2: "192.0.2.3", node_r1: "192.0.2.21", node_r2: "192.0.2.22" };
  return new World(nodes.map((id) => nodeOf(id, addresses[id])));
}

function happen(world: World, event: Step): void {
  if (event.kind === "save") {
    const { kind: _, ...spec } = event;
    world.save({ port: 80, ...spec });
    return;
  }
  if (event.kind === "activate") world.group = { ...world.group, activeNodeId: event.node };
  if (!world.service) return;
  if (event.kind === "settle") settle(world);
  else if (event.kind === "activate") world.touch();
  else if (event.kind === "take") world.take(event.node);
  else world.say(event.node);
}

/** Every node acts and speaks until nothing moves. */
function settle(world: World): void {
  for (let round = 0; round < 4; round++) for (const id of nodes) world.report(id);
}

/** DR and Tunnel destinations in some director's kernel whose real server's kernel is not ready for them. */
function unready(world: World): string[] {
  return ["node_d1", "node_d2"].flatMap((directorId) =>
    (world.held.get(directorId)?.fragments ?? []).flatMap((fragment) => {
      if (fragment.kind !== "director.service") return [];
      return fragment.destinations.flatMap(({ rip, port, forwarding }) => {
        const owner = [...world.nodes.values()].find(({ facts }) =>
          facts?.interfaces.some(({ addresses }) => addresses.some(({ address }) => address === rip)),
        );
        if (forwarding === "nat" || !owner) return [];
        const isServed = (world.held.get(owner.id)?.fragments ?? []).some(
          (serving) =>
            serving.kind === "realServer.serve" &&
            serving.vip === fragment.vip &&
            serving.port === fragment.port &&
            serving.endpoints.some(
              (endpoint) => endpoint.rip === rip && endpoint.port === port && endpoint.forwarding === forwarding,
            ) &&
            (forwarding !== "tun" ||
              (serving.encapsulation === fragment.encapsulation &&
                serving.directors.some(({ nodeId }) => nodeId === directorId))),
        );
        return isServed ? [] : [`${directorId}: ${fragment.vip} > ${rip} ${forwarding}`];
      });
    }),
  );
}

// Histories are long, and a busy machine is slow.
const patience = { timeout: 60_000 };

test(
  "whatever is edited and however late nodes act and speak, no director sends to a real server that is not ready",
  patience,
  () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40, size: "max" }), (steps) => {
        const world = worldOf();
        for (const event of steps) {
          happen(world, event);
          expect(unready(world)).toEqual([]);
        }
      }),
      { numRuns: 150 },
    );
  },
);

test("once nodes have acted and spoken, every real server that is wanted is admitted and nothing else is held", patience, () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30, size: "max" }), (steps) => {
      const world = worldOf();
      for (const event of steps) happen(world, event);
      if (!world.service) return;
      settle(world);
      const { spec } = world.service;
      const wanted = spec.enabled ? spec.realServers.length : 0;
      expect(world.gates.filter(({ state }) => state === "open")).toHaveLength(wanted);
      expect(world.gates).toHaveLength(wanted);
      expect(world.gates.flatMap(({ releasing }) => releasing)).toEqual([]);
      for (const id of ["node_r1", "node_r2"])
        for (const line of world.served(id)) expect(line).toBe(`${spec.vip}:80 ${spec.forwarding}`);
    }),
    { numRuns: 60 },
  );
});
