import { tracked } from "@trpc/server";
import { z } from "zod";
import type { Services, WatchKind } from "../services.ts";

/** `lastEventId` is sent by the client's own reconnect: the last sequence it saw. */
export const WatchInput = z.strictObject({ lastEventId: z.string().max(32).optional() }).optional();

/** Invalidations as tracked events: the id is the sequence, so a reconnecting client misses nothing. */
export async function* watch(
  services: Services,
  kind: WatchKind,
  input: z.infer<typeof WatchInput>,
  signal: AbortSignal | undefined,
) {
  const after = input?.lastEventId === undefined ? undefined : Number(input.lastEventId);
  const ended = signal ?? new AbortController().signal;
  for await (const event of services.watch(kind, Number.isSafeInteger(after) ? after : undefined, ended)) {
    yield tracked(String(event.sequence), event);
  }
}
