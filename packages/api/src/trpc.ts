import { type DomainError, errorCodes, type Guard, guardFields, guardSecondsDefault, type Scope } from "@trigon/model";
import { initTRPC, TRPCError } from "@trpc/server";
import { z } from "zod";
import { type Actor, authorise } from "./actor.ts";
import { domainErrorOf, problemOf } from "./problem.ts";
import type { Services } from "./services.ts";

/** What a request brings to a procedure. */
export interface ApiContext {
  services: Services;
  actor: Actor;
  requestId: string;
}

/** How a procedure is served as REST. Without it a procedure is tRPC only. */
export interface RestMeta {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Below `/api/v1`, with `{name}` for parts that are inputs. */
  path: `/${string}`;
  tag: string;
  summary: string;
  /** The input field that the JSON body is; left out when there is no body. */
  body?: string;
  /** `revision` comes from If-Match; `optional` where a write may do without. */
  conditional?: true | "optional";
  /** 201 with a Location made from the answer's id. */
  creates?: boolean;
  /** `?dryRun=true` runs the router's `preview` procedure instead, with this procedure's name as `action`. */
  preview?: boolean;
}

export interface ProcedureMeta {
  scope: Scope;
  rest?: RestMeta;
}

type TrpcCode = ConstructorParameters<typeof TRPCError>[0]["code"];

const trpcCodeOf: Record<number, TrpcCode> = {
  400: "BAD_REQUEST",
  401: "UNAUTHORIZED",
  403: "FORBIDDEN",
  404: "NOT_FOUND",
  409: "CONFLICT",
  412: "PRECONDITION_FAILED",
  413: "PAYLOAD_TOO_LARGE",
  415: "UNSUPPORTED_MEDIA_TYPE",
  422: "UNPROCESSABLE_CONTENT",
  428: "PRECONDITION_REQUIRED",
  429: "TOO_MANY_REQUESTS",
  500: "INTERNAL_SERVER_ERROR",
  503: "SERVICE_UNAVAILABLE",
};

function toTrpcError(error: DomainError): TRPCError {
  return new TRPCError({
    code: trpcCodeOf[errorCodes[error.code].status] ?? "INTERNAL_SERVER_ERROR",
    message: error.message,
    cause: error,
  });
}

const t = initTRPC
  .context<ApiContext>()
  .meta<ProcedureMeta>()
  .create({
    defaultMeta: { scope: "read" },
    sse: { ping: { enabled: true, intervalMs: 10_000 }, client: { reconnectAfterInactivityMs: 25_000 } },
    /** `error.data.problem` is the same problem document that REST answers with. */
    errorFormatter: ({ shape, error, ctx }) => ({
      ...shape,
      data: {
        code: shape.data.code,
        httpStatus: domainErrorOf(error).status,
        path: shape.data.path,
        problem: problemOf(domainErrorOf(error), ctx?.requestId ?? ""),
      },
    }),
  });

export const router = t.router;
export const createCallerFactory = t.createCallerFactory;

const GuardFields = z.object(guardFields);

/** The guard that a write asks for. What is wrong about it, or where none is taken, the procedure's own input says. */
function guardOf(input: unknown): Guard | undefined {
  const { guard, guardSeconds } = GuardFields.safeParse(input).data ?? {};
  return guard && { kind: guard, seconds: guardSeconds ?? guardSecondsDefault[guard] };
}

/** A procedure for actors that hold the scope of its meta; every error leaves it as a DomainError inside a TRPCError. */
export const procedure = t.procedure.use(async ({ ctx, meta, type, getRawInput, next }) => {
  try {
    authorise(ctx.actor, meta?.scope ?? "read");
  } catch (error) {
    throw toTrpcError(domainErrorOf(error));
  }
  const guard = type === "mutation" ? guardOf(await getRawInput()) : undefined;
  const result = await next({ ctx: { ...ctx, call: { actor: ctx.actor, requestId: ctx.requestId, guard } } });
  if (result.ok) return result;
  return { ...result, error: toTrpcError(domainErrorOf(result.error)) };
});
