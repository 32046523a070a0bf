import { setTimeout as sleep } from "node:timers/promises";
import { isDatabaseDown } from "@trigon/api";
import { migrate } from "@trigon/db";
import type { Log } from "./log.ts";

const retryMs = 500;

/** Migrates as soon as the database answers; waits for one that is away. Throws when it is there but must not be used. */
export async function migrateWhenUp(databaseUrl: string, log: Log, signal: AbortSignal): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      const applied = await migrate(databaseUrl);
      if (applied.length > 0) log.info({ applied }, "database migrated");
      return;
    } catch (error) {
      if (!isDatabaseDown(error)) throw error;
      if (attempt % 20 === 0) log.warn({ err: error }, "waiting for the database");
      await sleep(retryMs, undefined, { signal });
    }
  }
}

/** Whether the database answers now; asked at most twice a second, however often the question comes. */
export function createDatabaseProbe(ping: () => Promise<unknown>): () => Promise<boolean> {
  let asked: { at: number; answer: Promise<boolean> } | null = null;
  return () => {
    if (asked && Date.now() - asked.at < 500) return asked.answer;
    const answer = Promise.race([ping().then(() => true), sleep(2_000, false, { ref: false })]).catch(() => false);
    asked = { at: Date.now(), answer };
    return answer;
  };
}
