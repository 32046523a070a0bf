import { expect, test } from "vitest";
import { make, Node } from "../test/node.ts";

const shared = [make.module("ip_vs"), make.value("net/ipv4/vs/expire_nodest_conn", "1")];
const addressOf = (index: number) => `10.${Math.floor(index / 250)}.${index % 250}.1`;
const serviceOf = (index: number, weight: number) => {
  const vip = addressOf(index);
  return [
    ...shared,
    make.service(vip),
    ...Array.from({ length: 10 }, (_, rip) => make.destination(vip, `192.0.2.${rip + 1}`, weight)),
  ];
};

async function loaded(services: number): Promise<Node> {
  const node = new Node();
  await node.put(Object.fromEntries(Array.from({ length: services }, (_, index) => [`ds:${index}`, serviceOf(index, 1)])));
  return node;
}

/** The fastest of many runs, in milliseconds: what the work itself costs. */
async function fastest(node: Node): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < 200; run++) {
    const start = performance.now();
    await node.put({ "ds:3": serviceOf(3, 2 + (run % 2)) });
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

test("one change looks at and reports as much, and costs about as much, at 1,000 services as at 10", async () => {
  const [small, large] = [await loaded(10), await loaded(1000)];
  const looks = await Promise.all(
    [small, large].map(async (node) => {
      node.kernel.observedKeys = 0;
      const { states } = await node.put({ "ds:3": serviceOf(3, 9) });
      return { observed: node.kernel.observedKeys, reported: states.length };
    }),
  );
  expect(looks[1]).toEqual(looks[0]);
  // Work in proportion to the fleet would cost 100 times as much; the rest is the machine's noise.
  expect((await fastest(large)) / (await fastest(small))).toBeLessThan(5);
});
