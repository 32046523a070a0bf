import type { ErrorCode, FieldError } from "@trigon/model";

/** What went wrong with a call: the server's problem document, or `connection.lost` when no answer came at all. */
export interface Problem {
  code: ErrorCode | "connection.lost";
  detail: string;
  requestId: string | null;
  fields: readonly FieldError[];
}

/** The problem behind whatever a query or mutation threw. */
export function problemOf(error: unknown): Problem {
  const problem = (error as { data?: { problem?: Partial<Problem> & { errors?: FieldError[] } } } | null)?.data?.problem;
  if (problem?.code === undefined) {
    return {
      code: "connection.lost",
      detail: error instanceof Error ? error.message : String(error),
      requestId: null,
      fields: [],
    };
  }
  return {
    code: problem.code,
    detail: problem.detail ?? problem.code,
    requestId: problem.requestId || null,
    fields: problem.errors ?? [],
  };
}

/** Whether the controller, or its database, could not be reached: what is on the screen may be old, and asking again may help. */
export function isOutage({ code }: Problem): boolean {
  return code === "connection.lost" || code === "service.unavailable";
}
