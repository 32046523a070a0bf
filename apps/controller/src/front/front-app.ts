import type { Actor, ApiContext, Services } from "@trigon/api";
import { appRouter, authorise, domainErrorOf } from "@trigon/api";
import { DomainError } from "@trigon/model";
import { TRPCError } from "@trpc/server";
import { fetchRequestHandler } from "@trpc/server/adapters/fetch";
import { Hono } from "hono";
import { type Auth, clientAddressHeader } from "../auth/auth.ts";
import type { Log } from "../log.ts";
import { problemResponse } from "../problem-response.ts";
import { readText } from "../read-json.ts";
import type { Identify } from "./caller.ts";
import type { FrontEnv } from "./env.ts";
import { newRequestId } from "./request-id.ts";
import { isSameOrigin } from "./same-origin.ts";
import { securityHeaders } from "./security-headers.ts";
import { whileAllowed } from "./while-allowed.ts";

const bodyBytes = 2 * 1024 * 1024;
const authBodyBytes = 16 * 1024;

export interface FrontOptions {
  log: Log;
  auth: Auth;
  identify: Identify;
  services: Services;
  /** Serves `/api/v1`: `@trigon/api`'s REST adapter. */
  rest(request: Request, context: ApiContext): Promise<Response>;
  /** The OpenAPI 3.1 document. */
  openApi: object;
  enroll: Hono<FrontEnv>;
  isDatabaseUp(): Promise<boolean>;
  /** Prometheus text. */
  metrics(): string;
}

/** Which paths of the front listener are this app's; all else is the web app's. */
export const isOurs = (path: string) => /^\/(api|enroll)(\/|$)|^\/(healthz|metrics)$/.test(path);

/** The people's and programs' side: sign-in, tRPC, REST, enrollment, health and metrics. */
export function createFrontApp(options: FrontOptions): Hono<FrontEnv> {
  const { auth, identify, services, rest, openApi, enroll, isDatabaseUp, metrics } = options;
  const app = new Hono<FrontEnv>();

  app.use(async (c, next) => {
    const requestId = newRequestId();
    const log = options.log.child({ requestId });
    const startedAt = performance.now();
    c.set("requestId", requestId);
    c.set("address", c.env.incoming.socket.remoteAddress?.replace(/^::ffff:/, "") ?? null);
    c.set("log", log);
    await next();
    c.header("x-request-id", requestId);
    c.res.headers.delete("connection"); // tRPC sets it on streams; HTTP/2 forbids it
    for (const [name, value] of Object.entries(securityHeaders)) if (!c.res.headers.has(name)) c.header(name, value);
    if (!c.res.headers.has("cache-control")) c.header("cache-control", "no-store");
    const { method, path } = c.req;
    log.info({ method, path, status: c.res.status, ms: Math.round(performance.now() - startedAt) }, "request");
  });
  app.onError((error, c) => problemResponse(error, c.get("requestId"), c.req.path, c.get("log")));
  app.notFound((c) =>
    problemResponse(new DomainError("resource.notFound", "There is nothing here."), c.get("requestId"), c.req.path, c.get("log")),
  );

  app.get("/healthz", async (c) => {
    const database = await isDatabaseUp();
    return c.json({ live: true, database: database ? "up" : "down" }, database ? 200 : 503);
  });
  app.get("/metrics", async (c) => {
    authorise(await identify(c.req.raw), "read");
    return c.text(metrics(), 200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" });
  });

  app.on(["GET", "POST"], "/api/auth/*", async (c) => {
    if (!isSameOrigin(c.req.raw)) throw new DomainError("auth.forbidden", "This request comes from another site's page.");
    const headers = new Headers(c.req.raw.headers);
    for (const name of [...headers.keys()]) if (name.startsWith("x-forwarded-") || name === "forwarded") headers.delete(name);
    headers.set(clientAddressHeader, c.get("address") ?? "127.0.0.1");
    const body = c.req.method === "POST" ? await readText(c.req.raw, authBodyBytes) : undefined;
    let answer: Response;
    try {
      answer = await auth.handler(new Request(c.req.url, { method: c.req.method, headers, body }));
    } catch (error) {
      throw (await isDatabaseUp())
        ? error
        : new DomainError("service.unavailable", "Sign-in is not possible just now; try again.");
    }
    if (answer.status >= 500 && !(await isDatabaseUp())) {
      throw new DomainError("service.unavailable", "Sign-in is not possible just now; try again.");
    }
    return answer;
  });

  app.all("/api/trpc/*", async (c) => {
    const requestId = c.get("requestId");
    const request = c.req.method === "POST" ? await withText(c.req.raw, bodyBytes) : c.req.raw;
    let actor: Actor | undefined;
    const answer = await fetchRequestHandler({
      endpoint: "/api/trpc",
      req: request,
      router: appRouter,
      async createContext() {
        try {
          actor = await identify(request);
          return { services, actor, requestId };
        } catch (thrown) {
          const error = domainErrorOf(thrown);
          const codes = { 401: "UNAUTHORIZED", 403: "FORBIDDEN", 503: "SERVICE_UNAVAILABLE" } as const;
          const code = codes[error.status as keyof typeof codes] ?? "INTERNAL_SERVER_ERROR";
          throw new TRPCError({ code, message: error.message, cause: error });
        }
      },
      onError({ error, path }) {
        const domain = domainErrorOf(error);
        if (domain.code === "bug") c.get("log").error({ path, err: domain.cause }, "unforeseen error");
      },
    });
    return actor === undefined ? answer : whileAllowed(answer, actor, () => identify(request));
  });

  app.get("/api/openapi.json", (c) => c.json(openApi));
  app.all("/api/v1/*", async (c) => {
    const request = c.req.method === "GET" || c.req.method === "HEAD" ? c.req.raw : await withText(c.req.raw, bodyBytes);
    return rest(request, { services, actor: await identify(request), requestId: c.get("requestId") });
  });
  app.route("/enroll", enroll);
  return app;
}

/** The same request with its body read, so that its size is known before anything parses it. */
async function withText(request: Request, maxBytes: number): Promise<Request> {
  const text = await readText(request, maxBytes);
  const { method, headers, signal, url } = request;
  return new Request(url, { method, headers, signal, ...(text === "" ? {} : { body: text }) });
}
