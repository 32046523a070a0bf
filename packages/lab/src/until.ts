import { setTimeout as sleep } from "node:timers/promises";

/**
 * Asks again and again until the answer is neither false, null nor undefined, and returns it.
 * Throws after `deadlineMs` with `what` was waited for and the last error, if the question itself kept failing.
 */
export async function until<T>(
  what: string,
  ask: () => T | Promise<T>,
  { deadlineMs = 10_000, everyMs = 25 }: { deadlineMs?: number; everyMs?: number } = {},
): Promise<Exclude<T, false | null | undefined>> {
  const end = performance.now() + deadlineMs;
  let last: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== false && answer !== null && answer !== undefined) return answer as Exclude<T, false | null | undefined>;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end) throw new Error(`waited ${deadlineMs} ms in vain for ${what}`, { cause: last });
    await sleep(everyMs);
  }
}
