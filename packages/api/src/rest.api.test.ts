import { afterAll, beforeAll, expect, test } from "vitest";
import { type Actor, everyScope } from "./actor.ts";
import { openApiDocument } from "./openapi.ts";
import { createRest } from "./rest.ts";
import { restRoutes } from "./rest-routes.ts";
import { createTestFleet, factsOf, secretKey, type TestFleet } from "./testing/fleet.ts";

let fleet: TestFleet;
let rest: ReturnType<typeof createRest>;
beforeAll(async () => {
  fleet = await createTestFleet();
  await fleet.enroll("director", factsOf("lb-1", "192.0.2.2"));
  rest = createRest({ db: fleet.db, secretKey });
});
afterAll(() => fleet.close());

const ada: Actor = { kind: "user", name: "ada", scopes: everyScope };

async function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}, actor: Actor = ada) {
  const text = typeof body === "string" ? body : body === undefined ? undefined : JSON.stringify(body);
  const request = new Request(`https://lb.example/api/v1${path}`, {
    method,
    headers: { ...(text === undefined ? {} : { "content-type": "application/json" }), ...headers },
    ...(text === undefined ? {} : { body: text }),
  });
  const response = await rest(request, { services: fleet.api.services, actor, requestId: "req_rest" });
  const answer = await response.text();
  return { status: response.status, headers: response.headers, body: answer === "" ? null : JSON.parse(answer) };
}

const web = { name: "web", vip: "192.0.2.100", port: 80, forwarding: "dr", realServers: [{ rip: "192.0.2.11" }] };

test("create, get, replace, patch and delete make a round trip with Location, ETag and If-Match", async () => {
  const created = await call("POST", "/virtual-services", web);
  expect(created.status).toBe(201);
  const { id } = created.body;
  expect(created.headers.get("location")).toBe(`/api/v1/virtual-services/${id}`);
  expect(created.headers.get("etag")).toBe('"1"');

  const got = await call("GET", `/virtual-services/${id}`);
  const { status: _status, id: _id, revision: _revision, createdAt: _createdAt, updatedAt: _updatedAt, ...spec } = got.body;
  const same = await call("PUT", `/virtual-services/${id}`, spec, { "if-match": '"1"' });
  expect([same.status, same.headers.get("etag")]).toEqual([200, '"1"']);
  const replaced = await call("PUT", `/virtual-services/${id}`, { ...spec, scheduler: "rr" }, { "if-match": '"1"' });
  expect([replaced.status, replaced.headers.get("etag"), replaced.body.scheduler]).toEqual([200, '"2"', "rr"]);
  const patched = await call("PATCH", `/virtual-services/${id}`, { enabled: false }, { "if-match": '"2"' });
  expect(patched.body).toMatchObject({ enabled: false, scheduler: "rr", revision: 3 });
  expect(await fleet.database.sql(`SELECT revision, spec->>'scheduler' AS scheduler FROM "virtualService"`)).toEqual([
    { revision: 3, scheduler: "rr" },
  ]);

  expect((await call("DELETE", `/virtual-services/${id}`)).body).toMatchObject({ status: 428, code: "revision.required" });
  expect((await call("DELETE", `/virtual-services/${id}`, undefined, { "if-match": '"1"' })).body).toMatchObject({ status: 412 });
  expect((await call("DELETE", `/virtual-services/${id}`, undefined, { "if-match": '"nonsense"' })).status).toBe(412);
  expect((await call("DELETE", `/virtual-services/${id}`, undefined, { "if-match": '"3"' })).status).toBe(204);
  expect((await call("DELETE", `/virtual-services/${id}`, undefined, { "if-match": "*" })).status).toBe(204);
  expect((await call("GET", `/virtual-services/${id}`)).status).toBe(404);
});

test("a service is created and replaced by its name", async () => {
  const { name: _name, ...unnamed } = web;
  const created = await call("PUT", "/virtual-services/by-name/shop", unnamed);
  expect(created.body).toMatchObject({ name: "shop", revision: 1 });
  const again = await call("PUT", "/virtual-services/by-name/shop", { ...unnamed, scheduler: "sh" });
  expect(again.body).toMatchObject({ id: created.body.id, revision: 2, scheduler: "sh" });
  await call("DELETE", `/virtual-services/${created.body.id}`, undefined, { "if-match": "*" });
});

const wrong: [string, string, unknown, Record<string, string>, number, string, string | undefined][] = [
  ["text that is not JSON", "POST", "{", {}, 400, "body.invalid", undefined],
  ["a list", "POST", [], {}, 400, "body.invalid", ""],
  [
    "another media type",
    "POST",
    "a=1",
    { "content-type": "application/x-www-form-urlencoded" },
    415,
    "media.unsupported",
    undefined,
  ],
  ["no body", "POST", undefined, {}, 400, "body.invalid", undefined],
  ["a missing field", "POST", { ...web, vip: undefined }, {}, 422, "input.invalid", "/vip"],
  ["a number as text", "POST", { ...web, port: "80" }, {}, 422, "input.invalid", "/port"],
  ["a choice that is none", "POST", { ...web, scheduler: "fastest" }, {}, 422, "input.invalid", "/scheduler"],
];

test.each(wrong)(
  "a body that is %s is refused as a problem that names it",
  async (_name, method, body, headers, status, code, pointer) => {
    const answer = await call(method, "/virtual-services", body, headers);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(answer.body).toMatchObject({ status, code, requestId: "req_rest", instance: "/api/v1/virtual-services" });
    if (pointer !== undefined) expect(answer.body.errors.map((error: { pointer: string }) => error.pointer)).toContain(pointer);
    expect(answer.status).toBe(status);
    expect(await fleet.database.sql(`SELECT 1 FROM "virtualService" WHERE "deletedAt" IS NULL`)).toEqual([]);
  },
);

test("a parameter that a write does not know holds it back", async () => {
  const answer = await call("POST", "/virtual-services?simulate=true", web);
  expect(answer.body).toMatchObject({ status: 422, errors: [{ pointer: "/simulate", code: "field.unknown" }] });
  expect(await fleet.database.sql(`SELECT 1 FROM "virtualService" WHERE "deletedAt" IS NULL`)).toEqual([]);
});

test("an Idempotency-Key makes a POST happen once, for the same request only", async () => {
  const key = { "idempotency-key": "k-1" };
  const body = { name: "ci", scopes: ["read"] };
  const first = await call("POST", "/api-tokens", body, key);
  const second = await call("POST", "/api-tokens", body, key);
  expect(first.status).toBe(201);
  expect(second.body).toEqual(first.body);
  expect(second.headers.get("idempotency-replayed")).toBe("true");
  expect((await call("POST", "/api-tokens", { ...body, name: "other" }, key)).status).toBe(422);
  expect(await fleet.database.sql(`SELECT name FROM "apiToken"`)).toEqual([{ name: "ci" }]);
  const [row] = await fleet.database.sql<{ body: string }>(`SELECT body FROM "idempotencyKey"`);
  expect(Buffer.from(row!.body, "base64").toString("latin1")).not.toContain(first.body.token);
  const failing = { "idempotency-key": "k-2" };
  expect((await call("POST", "/virtual-services", { ...web, port: 0 }, failing)).status).toBe(422);
  expect((await call("POST", "/virtual-services", web, failing)).status).toBe(201);
});

test("an API token is an actor with its scopes, until it is revoked or expires", async () => {
  const { body } = await call("POST", "/api-tokens", { name: "reader", scopes: ["read"], expiresInDays: 1 });
  const actor = await fleet.api.authenticate(body.token);
  expect(actor).toEqual({ kind: "token", name: "reader", scopes: ["read"] });
  expect((await call("GET", "/virtual-services", undefined, {}, actor)).status).toBe(200);
  expect((await call("POST", "/virtual-services", web, {}, actor)).body).toMatchObject({ status: 403, code: "auth.forbidden" });
  fleet.clock.aheadMs = 86_400_001;
  await expect(fleet.api.authenticate(body.token)).rejects.toMatchObject({ code: "token.expired" });
  fleet.clock.aheadMs = 0;
  expect((await call("DELETE", `/api-tokens/${body.id}`)).status).toBe(204);
  await expect(fleet.api.authenticate(body.token)).rejects.toMatchObject({ code: "token.revoked" });
  await expect(fleet.api.authenticate("trg_pat_guess")).rejects.toMatchObject({ code: "token.invalid" });
});

test("lists take their parameters from the query", async () => {
  const answer = await call("GET", "/virtual-services?limit=1&query=web");
  expect(answer.body).toMatchObject({ data: [{ name: "web" }], nextCursor: null });
  expect((await call("GET", "/virtual-services?limit=many")).body).toMatchObject({ errors: [{ pointer: "/limit" }] });
});

test("the document describes every route, and refers to nothing that is not there", () => {
  const document = openApiDocument({ version: "0.1.0", url: "https://lb.example" });
  expect(document.openapi).toBe("3.1.0");
  const operations = Object.values(document.paths as object).flatMap((path) => Object.values(path as object));
  expect(operations.length).toBe(restRoutes.length);
  expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
  const text = JSON.stringify(document);
  for (const [, ref] of text.matchAll(/"\$ref":"#\/([^"]+)"/g)) {
    const target = ref!.split("/").reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], document);
    expect(target, ref).toBeDefined();
  }
});
