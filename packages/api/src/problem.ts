import { DomainError, type ErrorCode, errorCodes, type FieldError } from "@trigon/model";
import { z } from "zod";

/** RFC 9457 problem details with Trigon's closed code, the request's id and the wrong fields. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: ErrorCode;
  requestId: string;
  instance?: string;
  retry: boolean;
  errors?: FieldError[];
}

type Issue = z.core.$ZodIssue;

/** A path of a zod issue as a JSON pointer (RFC 6901). */
export function pointerOf(path: readonly PropertyKey[]): string {
  return path.map((key) => `/${String(key).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

function codeOf(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return issue.message.includes("received undefined") ? "field.required" : "field.type";
    case "too_small":
    case "too_big":
    case "not_multiple_of":
      return "field.range";
    case "invalid_value":
      return "field.choice";
    case "invalid_format":
      return "field.format";
    case "unrecognized_keys":
      return "field.unknown";
    case "custom":
      return typeof issue.params?.code === "string" ? issue.params.code : "field.invalid";
    default:
      return "field.invalid";
  }
}

/**
 * Zod's issues as field errors. The tRPC envelope's `spec` is cut off, so that a pointer is the same in REST and tRPC: into the object
 * the caller wrote.
 */
export function fieldErrorsOf(error: z.core.$ZodError): FieldError[] {
  return error.issues.flatMap((issue): FieldError[] => {
    const path = issue.path[0] === "spec" ? issue.path.slice(1) : issue.path;
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => ({
        pointer: pointerOf([...path, key]),
        code: "field.unknown",
        detail: `"${key}" is no field of this object`,
      }));
    }
    const field: FieldError = { pointer: pointerOf(path), code: codeOf(issue), detail: issue.message };
    if (issue.code === "too_small") return [{ ...field, meta: { minimum: Number(issue.minimum) } }];
    if (issue.code === "too_big") return [{ ...field, meta: { maximum: Number(issue.maximum) } }];
    return [field];
  });
}

/** Parses with `schema` or throws `input.invalid` that names every wrong field. */
export function parseOrThrow<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw invalidInput(parsed.error);
}

/** The DomainError of a failed parse. */
export function invalidInput(error: z.core.$ZodError): DomainError {
  const fields = fieldErrorsOf(error);
  const first = fields[0];
  const detail = first ? `${first.pointer || "the input"}: ${first.detail}` : "The input is not valid";
  return new DomainError("input.invalid", detail, fields);
}

/** Whatever was thrown, as a DomainError. What nobody foresaw is a `bug` and tells the caller nothing of the inside. */
export function domainErrorOf(thrown: unknown): DomainError {
  for (let error = thrown, depth = 0; error instanceof Error && depth < 5; error = error.cause, depth++) {
    if (error instanceof DomainError) return error;
    if (error instanceof z.core.$ZodError) return invalidInput(error);
    if (isDatabaseDown(error)) {
      return new DomainError("service.unavailable", "The database cannot be reached just now; try again.", [], { cause: error });
    }
  }
  return new DomainError("bug", "Something went wrong that Trigon did not foresee; its log has the request's id.", [], {
    cause: thrown,
  });
}

/** Whether an error says that Postgres is away: refused, reset, shutting down, starting up (class 57P, 08), or out of connections. */
export function isDatabaseDown(error: unknown): boolean {
  if (typeof error !== "object" || error === null) return false;
  const { code, message, meta } = error as { code?: unknown; message?: unknown; meta?: unknown };
  if (typeof code === "string") {
    if (/^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOENT|57P0[0-9]|08\d\d\d|53300)$/.test(code)) return true;
    if (/^P(1001|1002|1008|1017|2024|2028)$/.test(code)) return true;
  }
  if (typeof meta === "object" && meta !== null && "driverAdapterError" in meta && isDatabaseDown(meta.driverAdapterError))
    return true;
  const cause = (error as { cause?: unknown }).cause;
  if (typeof cause === "object" && cause !== null) {
    const kind = (cause as { kind?: unknown }).kind;
    if (
      kind === "DatabaseNotReachable" ||
      kind === "ConnectionClosed" ||
      kind === "SocketTimeout" ||
      kind === "TooManyConnections"
    )
      return true;
    const original = (cause as { originalCode?: unknown }).originalCode;
    if (typeof original === "string" && /^(57P0[0-9]|08\d\d\d|53300)$/.test(original)) return true;
  }
  return (
    typeof message === "string" &&
    /Connection terminated|connection timeout|the database system is (starting up|shutting down)|Can't reach database server|timeout exceeded when trying to connect/i.test(
      message,
    )
  );
}

/** The problem document of an error. */
export function problemOf(error: DomainError, requestId: string, instance?: string): Problem {
  return {
    type: `urn:trigon:problem:${error.code}`,
    title: error.code,
    status: errorCodes[error.code].status,
    detail: error.message,
    code: error.code,
    requestId,
    retry: error.retry,
    ...(instance === undefined ? {} : { instance }),
    ...(error.fields.length > 0 ? { errors: [...error.fields] } : {}),
  };
}
