import { until } from "@trigon/lab";
import type { RealServerSpec } from "@trigon/model";
import { expect, test } from "vitest";
import { createService } from "../../infra/demo/world.ts";
import { ipvsTable } from "./oracles.ts";
import { patchService, useWorld } from "./use-world.ts";

const world = useWorld();
const vip = "10.2.0.141";

/** The weight of 10.2.0.22 in the director's kernel; null: it is not in the table. */
async function weightOfSecond(): Promise<number | null> {
  const found = new RegExp(`^-a -t ${vip}:80 -r 10\\.2\\.0\\.22:80 -g -w (\\d+)$`, "m").exec(
    await ipvsTable(world.lab.host("dir1")),
  );
  return found ? Number(found[1]) : null;
}

test("a real server that is brought back from maintenance takes its weight in steps", async () => {
  const { id, realServers } = await createService(world.api, {
    name: "slow start",
    vip,
    port: 80,
    forwarding: "dr",
    scheduler: "wlc",
    slowStartSeconds: 10,
    realServers: ["10.2.0.21", "10.2.0.22"].map((rip) => ({ rip, weight: 100 })),
  });
  const deadline = { deadlineMs: 60_000, everyMs: 50 };
  await until("its full weight", async () => (await weightOfSecond()) === 100, deadline);
  const second = (adminState: RealServerSpec["adminState"]) =>
    patchService(world.api, id, {
      realServers: realServers.map((one) => (one.rip === "10.2.0.22" ? { ...one, adminState } : one)),
    });
  await second("maintenance");
  await until("it to be out", async () => (await weightOfSecond()) === null, deadline);

  const began = performance.now();
  await second("active");
  const seen: number[] = [];
  await until(
    "its full weight again",
    async () => {
      const weight = await weightOfSecond();
      if (weight !== null && weight !== seen.at(-1)) seen.push(weight);
      return weight === 100;
    },
    deadline,
  );
  expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  expect(seen.length).toBeGreaterThanOrEqual(6);
  expect(seen[0]).toBeLessThanOrEqual(20);
  expect(seen.every((weight) => weight % 10 === 0)).toBe(true);
  expect(performance.now() - began).toBeGreaterThan(8_000);
  expect(await ipvsTable(world.lab.host("dir1"))).toContain(`-a -t ${vip}:80 -r 10.2.0.21:80 -g -w 100`);
}, 180_000);
