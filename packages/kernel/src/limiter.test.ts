import { expect, test } from "vitest";
import { createLimiter } from "./limiter.ts";

test("a limiter runs so many jobs at a time, all of them, and goes on after a failure", async () => {
  const limited = createLimiter(2);
  let running = 0;
  let most = 0;
  const job = async (index: number) => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setImmediate(resolve));
    running -= 1;
    if (index === 1) throw new Error("one fails");
    return index;
  };
  const results = await Promise.allSettled([0, 1, 2, 3, 4].map((index) => limited(() => job(index))));
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "fulfilled", "fulfilled"]);
  expect(most).toBe(2);
});
