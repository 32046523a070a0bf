import type { Actor } from "@trigon/api";
import { domainErrorOf } from "@trigon/api";

/** A stream outlives its session by no more than this. */
const lookMs = 2_000;

/**
 * A stream that ends when whoever asked for it may no longer: signed out, disabled, revoked, or of another role by now. That nobody can say,
 * as while the database is away, ends none.
 */
export function whileAllowed(answer: Response, actor: Actor, identify: () => Promise<Actor>): Response {
  if (!answer.body || !answer.headers.get("content-type")?.startsWith("text/event-stream")) return answer;
  const end = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let isOver = false;
  const arm = () => {
    if (!isOver) timer = setTimeout(look, lookMs);
  };
  const look = () =>
    identify()
      .then(({ name, scopes }) => name === actor.name && scopes.join() === actor.scopes.join())
      .catch((error: unknown) => domainErrorOf(error).status >= 500)
      .then((isAllowed) => (isAllowed ? arm() : end.abort()));
  arm();
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  void answer.body
    .pipeTo(writable, { signal: end.signal, preventAbort: true })
    .catch(() => writable.close())
    .catch(() => undefined) // the reader is gone already
    .finally(() => {
      isOver = true;
      clearTimeout(timer);
    });
  return new Response(readable, { status: answer.status, headers: answer.headers });
}
