import { setTimeout as sleep } from "node:timers/promises";

/** Counts at once and then every `intervalMs`, until the signal. */
export async function* every(intervalMs: number, signal: AbortSignal | undefined): AsyncGenerator<number> {
  for (let tick = 0; !signal?.aborted; tick++) {
    yield tick;
    await sleep(intervalMs, undefined, { signal }).catch(() => undefined);
  }
}
