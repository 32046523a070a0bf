import type { Database } from "@trigon/db";
import { DomainError, guardFields } from "@trigon/model";
import { callTRPCProcedure } from "@trpc/server";
import { z } from "zod";
import { once } from "./idempotency.ts";
import { domainErrorOf, problemOf } from "./problem.ts";
import { findRoute, type RestRoute, unwrap } from "./rest-routes.ts";
import { appRouter } from "./router.ts";
import type { Revision } from "./shapes.ts";
import type { ApiContext } from "./trpc.ts";

export const restBase = "/api/v1";

export interface RestOptions {
  db: Database;
  secretKey: Buffer;
  now?: () => number;
  /** Told of errors that nobody foresaw. */
  onBug?: (error: DomainError, requestId: string) => void;
}

/**
 * REST over the same procedures as tRPC. Headers live here only: `If-Match` becomes the input's revision, the answer's revision becomes
 * `ETag`, `Idempotency-Key` makes a POST repeatable. Every failure is problem+json.
 */
export function createRest(options: RestOptions): (request: Request, context: ApiContext) => Promise<Response> {
  const { db, secretKey, now = Date.now, onBug } = options;
  return async (request, context) => {
    const url = new URL(request.url);
    try {
      const method = request.method === "HEAD" ? "GET" : request.method;
      const found = findRoute(method, url.pathname.slice(restBase.length).replace(/\/$/, ""));
      if (!found) throw new DomainError("resource.notFound", `There is no ${method} ${url.pathname}.`);
      const { route, params } = found;
      const text = route.rest.method === "GET" ? "" : await request.text();
      const input = inputOf(route, params, url.searchParams, text, request.headers);
      const isDryRun = isDryRunOf(route, url.searchParams);
      const work = () =>
        isDryRun ? rehearse(route, input, context, request.signal) : run(route, input, context, request.signal);
      const key = request.headers.get("idempotency-key");
      const { status, headers, body } =
        key !== null && method === "POST" && !isDryRun
          ? await once(
              { db, secretKey, now },
              { actor: context.actor.name, key: checkedKey(key), text: `${url.pathname}${url.search}\n${text}` },
              work,
            )
          : await work();
      return new Response(request.method === "HEAD" ? null : body, {
        status,
        headers: body === null ? headers : { ...headers, "content-type": "application/json; charset=utf-8" },
      });
    } catch (thrown) {
      const error = domainErrorOf(thrown);
      if (error.code === "bug") onBug?.(error, context.requestId);
      return problemResponse(error, context.requestId, url.pathname);
    }
  };
}

/** The answer of a failure. */
export function problemResponse(error: DomainError, requestId: string, instance: string): Response {
  const problem = problemOf(error, requestId, instance);
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: {
      "content-type": "application/problem+json",
      ...(error.code === "service.unavailable" ? { "retry-after": "2" } : {}),
    },
  });
}

function call(path: string, type: RestRoute["type"], input: unknown, ctx: ApiContext, signal: AbortSignal): Promise<unknown> {
  return callTRPCProcedure({ router: appRouter, path, getRawInput: async () => input, ctx, type, signal, batchIndex: 0 });
}

/** The same write as a preview: nothing is stored, and the answer says what would happen. */
async function rehearse(route: RestRoute, input: Record<string, unknown> | undefined, ctx: ApiContext, signal: AbortSignal) {
  const [router, action] = route.procedure.split(".");
  const { guard, guardSeconds, ...write } = input ?? {};
  const data = await call(`${router}.preview`, "mutation", { ...write, action }, ctx, signal);
  return { status: 200, headers: {}, body: JSON.stringify(data) };
}

function isDryRunOf({ rest }: RestRoute, query: URLSearchParams): boolean {
  const text = rest.preview ? query.get("dryRun") : null;
  if (text === null || text === "true" || text === "false") return text === "true";
  throw new DomainError("input.invalid", "dryRun is true or false.", [
    { pointer: "/dryRun", code: "field.choice", detail: "true or false" },
  ]);
}

async function run(route: RestRoute, input: unknown, ctx: ApiContext, signal: AbortSignal) {
  const data = (await call(route.procedure, route.type, input, ctx, signal)) as { id?: string; revision?: number } | undefined;
  const headers: Record<string, string> = {};
  if (typeof data?.revision === "number") headers.etag = `"${data.revision}"`;
  if (route.rest.creates && data?.id) headers.location = `${restBase}${route.rest.path}/${data.id}`;
  if (data === undefined) return { status: 204, headers, body: null };
  return { status: route.rest.creates ? 201 : 200, headers, body: JSON.stringify(data) };
}

function inputOf(
  route: RestRoute,
  params: Record<string, string>,
  query: URLSearchParams,
  text: string,
  headers: Headers,
): Record<string, unknown> | undefined {
  const { rest, inputs } = route;
  const input: Record<string, unknown> = { ...coerce(inputs, query), ...params };
  if (rest.preview) delete input.dryRun;
  if (rest.method !== "GET") {
    // A parameter that a write does not know may have been meant to hold it back.
    const stray = [...query.keys()].find(
      (key) => !(key === "dryRun" && rest.preview) && !(Object.hasOwn(guardFields, key) && key in inputs),
    );
    if (stray !== undefined) {
      throw new DomainError("input.invalid", `"${stray}" is no parameter of this request.`, [
        { pointer: `/${stray}`, code: "field.unknown", detail: "Not a parameter of this request" },
      ]);
    }
  }
  if (rest.conditional) input.revision = revisionOf(headers.get("if-match"));
  if (rest.body !== undefined && (text !== "" || !isOptional(inputs[rest.body]))) input[rest.body] = jsonOf(text, headers);
  return Object.keys(input).length === 0 && route.input === undefined ? undefined : input;
}

function isOptional(schema: z.ZodType | undefined): boolean {
  return schema instanceof z.ZodOptional;
}

function jsonOf(text: string, headers: Headers): unknown {
  if (text !== "" && !/^application\/(json|merge-patch\+json)\s*(;|$)/i.test(headers.get("content-type") ?? "")) {
    throw new DomainError("media.unsupported", "Send the body as application/json.");
  }
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (cause) {
    throw new DomainError("body.invalid", text === "" ? "A body is needed." : "The body is not JSON.", [], { cause });
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new DomainError("body.invalid", "The body must be a JSON object.", [
      { pointer: "", code: "field.type", detail: "Must be an object" },
    ]);
  }
  return body;
}

/** One strong ETag, or `*`. One that no answer of ours had matches nothing. */
function revisionOf(header: string | null): Revision {
  if (header === null) return undefined;
  if (header.trim() === "*") return "*";
  const revision = /^"(\d{1,15})"$/.exec(header.trim())?.[1];
  return revision === undefined ? -1 : Number(revision);
}

/** Query text as the types the schema wants, field by field. Wrong text stays text, so that parsing reports it. */
function coerce(inputs: Record<string, z.ZodType>, query: URLSearchParams): Record<string, unknown> {
  const one = (schema: z.ZodType, text: string): unknown => {
    const inner = unwrap(schema);
    if (inner instanceof z.ZodNumber) return text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
    if (inner instanceof z.ZodBoolean) return text === "true" ? true : text === "false" ? false : text;
    return text;
  };
  const input: Record<string, unknown> = {};
  for (const key of new Set(query.keys())) {
    const schema = inputs[key];
    const inner = schema && unwrap(schema);
    const texts = query.getAll(key);
    if (inner instanceof z.ZodArray) input[key] = texts.map((text) => one(inner.element as z.ZodType, text));
    else input[key] = schema ? one(schema, texts.at(-1)!) : texts.at(-1);
  }
  return input;
}

function checkedKey(key: string): string {
  if (/^[\x21-\x7e]{1,255}$/.test(key)) return key;
  throw new DomainError("input.invalid", "The Idempotency-Key must be 1 to 255 visible ASCII characters.");
}
