import { FakeKernel } from "@trigon/kernel/testing/fake";
import { describe, test } from "vitest";
import { kernelContract, type World } from "./kernel.ts";

function fakeWorld(): World {
  const kernel = new FakeKernel({ modules: ["ip_vs"] });
  const neighbour = { address: "10.2.0.21", mac: "02:00:00:00:00:21" };
  kernel.holders.set(neighbour.address, [neighbour.mac]);
  return { kernel, interfaceName: "eth0", own: "10.2.0.11", neighbour, free: "10.2.0.200" };
}

describe("the fake kernel", () => {
  for (const { name, run } of kernelContract) test(name, () => run(fakeWorld()));
});
