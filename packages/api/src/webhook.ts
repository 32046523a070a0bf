import { createHmac } from "node:crypto";
import type { DeliveryOutcome } from "@trigon/model";

/** How one attempt ended. */
export interface Attempt {
  outcome: DeliveryOutcome;
  status: number | null;
  message: string;
}

export const timestampHeader = "x-trigon-timestamp";
export const signatureHeader = "x-trigon-signature";

/** HMAC-SHA256 under the secret over `timestamp.body`, in hex; the timestamp (Unix seconds) lets a receiver refuse what is old. */
export function signature(secret: string, timestamp: string, body: string): string {
  return `v1=${createHmac("sha256", secret).update(`${timestamp}.${body}`).digest("hex")}`;
}

/** Posts JSON once. Never throws, follows no redirect, reads nothing of the answer but its status, and ends at the deadline or the signal. */
export async function postWebhook(
  url: string,
  body: string,
  { secret, timestamp, timeoutMs, signal }: { secret: string | null; timestamp: string; timeoutMs: number; signal?: AbortSignal },
): Promise<Attempt> {
  const deadline = AbortSignal.timeout(timeoutMs);
  try {
    const answer = await fetch(url, {
      method: "POST",
      body,
      redirect: "manual",
      signal: signal ? AbortSignal.any([deadline, signal]) : deadline,
      headers: {
        "content-type": "application/json",
        "user-agent": "Trigon",
        [timestampHeader]: timestamp,
        ...(secret === null ? {} : { [signatureHeader]: signature(secret, timestamp, body) }),
      },
    });
    await answer.body?.cancel().catch(() => undefined);
    const { status } = answer;
    if (answer.ok) return { outcome: "delivered", status, message: "" };
    if (status >= 300 && status < 400)
      return { outcome: "redirect", status, message: `The receiver redirects (${status}); redirects are not followed.` };
    return { outcome: "status", status, message: `The receiver answered ${status}.` };
  } catch (error) {
    if (deadline.aborted) {
      return { outcome: "timeout", status: null, message: `No answer within ${timeoutMs / 1000} s.` };
    }
    return { status: null, ...failureOf(error) };
  }
}

/** Sorts what Node's fetch throws, by the code of its cause. */
function failureOf(error: unknown): Pick<Attempt, "outcome" | "message"> {
  const cause = ((error as Error).cause ?? error) as { code?: string; message?: string };
  const code = cause.code ?? "";
  const why = [code, cause.message].filter(Boolean).join(": ") || String(error);
  if (code === "ECONNREFUSED") return { outcome: "refused", message: "Nobody listens there: the connection was refused." };
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return { outcome: "name", message: `The name cannot be resolved (${code}).` };
  if (code.includes("TIMEOUT") || code === "ETIMEDOUT")
    return { outcome: "timeout", message: `The receiver does not answer (${code}).` };
  if (/CERT|SSL|TLS|SIGNATURE/.test(code)) return { outcome: "tls", message: `TLS failed: ${why}` };
  return { outcome: "network", message: `The message could not be sent: ${why}` };
}
