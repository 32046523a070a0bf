import { expect, test } from "vitest";
import { rehearse } from "./rehearse.ts";

test("the made-up plan is understood and carried out whole: four times 60 services of 10, and what directors need besides", async () => {
  const changes = await rehearse();
  expect(changes).toBeGreaterThanOrEqual(4 * 60 * 11);
  expect(changes).toBeLessThan(4 * (60 * 11 + 20));
});
