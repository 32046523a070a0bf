import { expect, test } from "vitest";
import { until } from "./until.ts";

test("until answers the first value that is one, and 0 and the empty string are", async () => {
  const answers = [undefined, null, false, 0] as const;
  let turn = 0;
  expect(await until("a value", () => answers[turn++], { everyMs: 1 })).toBe(0);
});

test("until says what it waited for, and why the question failed", async () => {
  const wait = until("the door", () => Promise.reject(new Error("locked")), { deadlineMs: 5, everyMs: 1 });
  await expect(wait).rejects.toMatchObject({ message: "waited 5 ms in vain for the door", cause: new Error("locked") });
});
