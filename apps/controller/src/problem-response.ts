import { domainErrorOf, problemOf } from "@trigon/api";
import type { Log } from "./log.ts";

/** Whatever was thrown, as an application/problem+json answer (RFC 9457). What nobody foresaw is logged whole and told in one sentence. */
export function problemResponse(thrown: unknown, requestId: string, instance: string | undefined, log: Log): Response {
  const error = domainErrorOf(thrown);
  if (error.code === "bug") log.error({ requestId, instance, err: error.cause }, "unforeseen error");
  const problem = problemOf(error, requestId, instance);
  const headers: Record<string, string> = { "content-type": "application/problem+json", "x-request-id": requestId };
  if (error.code === "service.unavailable") headers["retry-after"] = "2";
  if (error.status === 401) headers["www-authenticate"] = 'Bearer realm="trigon"';
  return new Response(JSON.stringify(problem), { status: problem.status, headers });
}
