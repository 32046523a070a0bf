import { setTimeout as sleep } from "node:timers/promises";
import { type LabHost, type Load, startLoad } from "@trigon/lab";

/** Each stretch of the load is this long: then its rate and its mix are others. */
const stretchSeconds = 20;
const retryMs = 5_000;
const stopMs = 3_000;

/**
 * What a stretch asks for: a rate that swings slowly around its middle, and services that take turns in being the busiest. Pure.
 */
export function stretchAt(index: number, vips: readonly string[]): { rate: number; targets: string[] } {
  const rate = Math.round(12 + 7 * Math.sin(index / 4) + 3 * Math.sin(index / 1.3));
  const targets = vips.flatMap((vip, at) => {
    const share = 2 + Math.round(2 * Math.sin(index / 6 + (at * 2 * Math.PI) / vips.length));
    const kilobytes = 4 + 4 * ((index + at) % 5);
    return Array.from({ length: Math.max(1, share) }, () => `${vip}/bytes/${kilobytes * 1000}`);
  });
  return { rate, targets };
}

/** Keeps a gentle, varied load on the services until `stop`, so that every chart of the demo lives. */
export function startGentleLoad(client: LabHost, vips: readonly string[]): { stop: () => Promise<void> } {
  const ending = new AbortController();
  let load: Load | undefined;
  const run = async () => {
    for (let index = 0; !ending.signal.aborted; index++) {
      try {
        load = await startLoad(client, { ...stretchAt(index, vips), seconds: stretchSeconds });
        // Stop was called while it started.
        if (ending.signal.aborted) await load.stop();
        else await load.done;
      } catch {
        // The client or a service is away, by somebody's will: the demo is there to be played with.
        await sleep(retryMs, undefined, { signal: ending.signal }).catch(() => undefined);
      }
    }
  };
  const ended = run();
  return {
    stop: async () => {
      ending.abort();
      // A client that hangs must not keep the lab from going down.
      const over = load?.stop().catch(() => undefined);
      await Promise.race([Promise.all([over, ended]), sleep(stopMs)]);
    },
  };
}
