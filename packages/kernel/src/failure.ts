import { isNetlinkError } from "@trigon/netlink";
import type { ActionResult, KernelFailure } from "@trigon/reconciler";

/** A refusal on its way to becoming an `ActionResult`. */
export class KernelError extends Error implements KernelFailure {
  override readonly name = "KernelError";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export const done: ActionResult = { ok: true };

/** Any thrown thing as a failed result; errors of netlink, of system calls and our own carry a code. */
export function failed(error: unknown, tried: string): ActionResult {
  if (error instanceof KernelError) return { ok: false, failure: { code: error.code, message: error.message } };
  const code = (error as NodeJS.ErrnoException).code ?? "EIO";
  const said = error instanceof Error ? error.message : String(error);
  const message = isNetlinkError(error) ? `Could not ${said}` : `Could not ${tried}: ${said}`;
  return { ok: false, failure: { code: code === "ETIMEDOUT" ? "timeout" : code, message } };
}

/** Runs one step and says how it went. */
export async function attempt(tried: string, step: () => Promise<void> | void): Promise<ActionResult> {
  try {
    await step();
    return done;
  } catch (error) {
    return failed(error, tried);
  }
}
