import type { StreamEvent } from "@trigon/model";
import type { PlanHub } from "./plan-hub.ts";

/** Silence on a stream is never longer than this; an agent that hears less counts the connection dead. */
export const pingMs = 15_000;

const encoder = new TextEncoder();

/** One server-sent event (WHATWG HTML 9.2): typed, with the generation as its id for Last-Event-ID. */
export function encodeEvent(event: StreamEvent): Uint8Array {
  const id = event.type === "plan" ? `id: ${event.generation}\n` : "";
  return encoder.encode(`event: ${event.type}\n${id}data: ${JSON.stringify(event)}\n\n`);
}

/**
 * The body of `GET /agent/v1/stream`. Says when a newer plan than `since` is there; a reader that is slow gets one event for many
 * changes. `mayStay` is asked after each wake: when it answers false, the stream ends.
 */
export function planStream(options: {
  hub: PlanHub;
  nodeId: string;
  since: number;
  mayStay: () => boolean;
  signal: AbortSignal;
  /** The stream opened, or its reader took something just now. */
  onAlive: () => void;
  onClose: () => void;
}): ReadableStream<Uint8Array> {
  const { hub, nodeId, mayStay, signal, onAlive, onClose } = options;
  const follower = hub.follow(nodeId);
  let since = options.since;
  let closed = false;
  const waiting: StreamEvent[] = [];
  const close = () => {
    if (closed) return;
    closed = true;
    follower.close();
    onClose();
  };
  signal.addEventListener("abort", close, { once: true });
  return new ReadableStream({
    start: (controller) => controller.enqueue(encoder.encode(": connected\n\n")),
    async pull(controller) {
      onAlive();
      while (!closed) {
        const word = waiting.shift();
        if (word) return controller.enqueue(encodeEvent(word));
        const asked = performance.now();
        const generation = await follower.next(since, pingMs);
        if (closed || signal.aborted || !mayStay()) break;
        waiting.push(...follower.takeWords());
        if (waiting.length > 0 && generation === null) return controller.enqueue(encodeEvent(waiting.shift()!));
        if (generation !== null) {
          since = generation;
          return controller.enqueue(encodeEvent({ type: "plan", generation }));
        }
        if (performance.now() - asked >= pingMs - 50) return controller.enqueue(encoder.encode(": ping\n\n"));
      }
      close();
      controller.close();
    },
    cancel: close,
  });
}
