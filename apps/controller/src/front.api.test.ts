import { execFile } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:http2";
import { join } from "node:path";
import { promisify } from "node:util";
import type {} from "@trigon/db/testing/global-setup";
import { createTestDatabase, type TestDatabase } from "@trigon/db/testing/test-database";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestController, type TestController } from "./testing/test-controller.ts";

let database: TestDatabase;
let trigon: TestController;
let cookie: string;
let admin: Record<string, string>;

beforeAll(async () => {
  database = await createTestDatabase();
  trigon = await startTestController(database.url);
  cookie = await trigon.signIn();
  admin = { authorization: `Bearer ${await trigon.token(["admin"])}` };
});
afterAll(async () => {
  await trigon?.close();
  await database?.drop();
});

const service = (name: string, port: number) => ({ name, vip: "198.51.100.10", port, forwarding: "nat" });

test("who is not signed in is told so with a problem document, and no page of another site acts for who is", async () => {
  const nobody = await trigon.ask("/api/v1/virtual-services");
  expect(nobody.status).toBe(401);
  expect(nobody.headers["content-type"]).toBe("application/problem+json");
  expect(nobody.json).toMatchObject({ status: 401, code: "auth.required", instance: "/api/v1/virtual-services" });
  expect(nobody.json.requestId).toBe(nobody.headers["x-request-id"]);
  expect((await trigon.ask("/api/trpc/user.me")).json.error.data.problem.code).toBe("auth.required");

  const body = { name: "x", scopes: ["read"], expiresInDays: 1 };
  const foreign = await trigon.ask("/api/v1/api-tokens", { body, headers: { cookie, origin: "https://evil.example" } });
  expect([foreign.status, foreign.json.code]).toEqual([403, "auth.forbidden"]);
  const form = await trigon.ask("/api/auth/sign-in/username", {
    body: trigon.admin,
    headers: { origin: "https://evil.example" },
  });
  expect(form.status).toBe(403);
  const own = await trigon.ask("/api/v1/api-tokens", { body, headers: { cookie, origin: trigon.origin } });
  expect(own.status).toBe(201);
});

test("a session works in tRPC and REST, and ends with sign-out", async () => {
  const mine = await trigon.signIn();
  expect((await trigon.ask("/api/trpc/user.me", { headers: { cookie: mine } })).json.result.data.name).toBe("admin");
  expect((await trigon.ask("/api/v1/virtual-services", { headers: { cookie: mine } })).status).toBe(200);
  await trigon.ask("/api/auth/sign-out", { body: {}, headers: { cookie: mine, origin: trigon.origin } });
  expect((await trigon.ask("/api/trpc/user.me", { headers: { cookie: mine } })).status).toBe(401);
});

test("an API token may do what its scopes say and no more; a revoked, unknown or malformed one nothing", async () => {
  const reader = { authorization: `Bearer ${await trigon.token(["read"])}` };
  expect((await trigon.ask("/api/v1/virtual-services", { headers: reader })).status).toBe(200);
  const refused = await trigon.ask("/api/v1/virtual-services", { body: service("no", 81), headers: reader });
  expect([refused.status, refused.json.code]).toEqual([403, "auth.forbidden"]);
  expect((await trigon.ask("/metrics", { headers: reader })).text).toMatch(/^trigon_fleet_sequence \d+$/m);
  expect((await trigon.ask("/metrics")).status).toBe(401);

  const [row] = await database.sql<{ id: string }>(
    `SELECT id FROM "apiToken" WHERE scopes = '{read}' ORDER BY "createdAt" DESC LIMIT 1`,
  );
  await trigon.ask(`/api/v1/api-tokens/${row!.id}`, { method: "DELETE", headers: admin });
  expect((await trigon.ask("/api/v1/virtual-services", { headers: reader })).json.code).toBe("token.revoked");
  const unknown = { authorization: `Bearer trg_pat_${"A".repeat(43)}` };
  expect((await trigon.ask("/api/v1/virtual-services", { headers: unknown })).json.code).toBe("token.invalid");
  expect((await trigon.ask("/api/v1/virtual-services", { headers: { authorization: "Basic eDp5" } })).status).toBe(401);
});

test("a service makes its round trip through REST with ETag and If-Match", async () => {
  const created = await trigon.ask("/api/v1/virtual-services", { body: service("round", 8001), headers: admin });
  expect(created.status).toBe(201);
  expect(created.headers.location).toBe(`/api/v1/virtual-services/${created.json.id}`);
  const path = created.headers.location!;
  const read = await trigon.ask(path, { headers: admin });
  expect([read.json.name, read.headers.etag]).toEqual(["round", `"${created.json.revision}"`]);

  const body = { ...service("round", 8001), description: "changed" };
  const put = (headers: Record<string, string>) => trigon.ask(path, { method: "PUT", body, headers: { ...admin, ...headers } });
  expect((await put({})).json).toMatchObject({ status: 428, code: "revision.required" });
  const changed = await put({ "if-match": read.headers.etag! });
  expect([changed.status, changed.json.description]).toEqual([200, "changed"]);
  expect((await put({ "if-match": read.headers.etag! })).json).toMatchObject({ status: 412, code: "revision.stale" });
  const gone = await trigon.ask(path, { method: "DELETE", headers: { ...admin, "if-match": changed.headers.etag! } });
  expect(gone.status).toBe(204);
  expect((await trigon.ask(path, { headers: admin })).json).toMatchObject({ status: 404, code: "resource.notFound" });
});

test("wrong input names its field and changes nothing", async () => {
  const before = await database.sql(`SELECT sequence FROM fleet`);
  const post = (body: unknown, headers: Record<string, string> = {}) =>
    trigon.ask("/api/v1/virtual-services", { body, headers: { ...admin, ...headers } });
  const vip = await post({ ...service("bad", 80), vip: "not-an-address" });
  expect(vip.status).toBe(422);
  expect(vip.json.errors).toMatchObject([{ pointer: "/vip" }]);
  expect((await post({ name: 7 })).json.errors.map((error: { pointer: string }) => error.pointer)).toContain("/name");
  expect((await post("{nonsense")).json).toMatchObject({ status: 400, code: "body.invalid" });
  expect((await post("a=b", { "content-type": "text/plain" })).json).toMatchObject({ status: 415, code: "media.unsupported" });
  expect((await post({ name: "x".repeat(3_000_000) })).json).toMatchObject({ status: 413, code: "request.tooLarge" });
  expect(await database.sql(`SELECT sequence FROM fleet`)).toEqual(before);
});

test("the OpenAPI 3.1 document has no loose reference, and every list it names answers", async () => {
  const document = (await trigon.ask("/api/openapi.json")).json;
  expect(document.openapi).toBe("3.1.0");
  const text = JSON.stringify(document);
  for (const [, pointer] of text.matchAll(/"\$ref":"#\/([^"]+)"/g)) {
    const found = pointer!.split("/").reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], document);
    expect(found, pointer).toBeDefined();
  }
  const ids: string[] = [];
  for (const [path, operations] of Object.entries<
    Record<string, { operationId: string; parameters?: { name: string; in: string; required?: boolean }[] }>
  >(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      ids.push(operation.operationId);
      const declared = (operation.parameters ?? []).filter((one) => one.in === "path").map((one) => one.name);
      expect(declared.sort()).toEqual([...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort());
      if (method !== "get" || path.includes("{")) continue;
      const asked = (operation.parameters ?? []).filter((one) => one.in === "query" && one.required);
      const query = asked.length === 0 ? "" : `?${asked.map(({ name }) => `${name}=any`).join("&")}`;
      expect((await trigon.ask(`/api/v1${path}${query}`, { headers: admin })).status, path).toBe(200);
    }
  }
  expect(new Set(ids).size).toBe(ids.length);
});

test("a subscription over server-sent events tells of a write as it happens", async () => {
  const stream = await trigon.stream("/api/trpc/virtualService.watch", { headers: { cookie } });
  try {
    expect((await stream.next()).event).toBe("connected");
    const created = await trigon.ask("/api/v1/virtual-services", { body: service("watched", 8002), headers: admin });
    for (;;) {
      const { data } = await stream.next();
      const { ids } = data as { ids: string[] | null };
      if (ids === null || ids.includes(created.json.id)) break;
    }
  } finally {
    stream.close();
  }
});

test.each(["virtualService.watchCounters", "topology.watch"])(
  "events of %s carry no id: a browser that comes again would be refused with one",
  async (path) => {
    const stream = await trigon.stream(`/api/trpc/${path}?input=%7B%7D`, { headers: { cookie } });
    try {
      expect((await stream.next()).event).toBe("connected");
      const { id, event, data } = await stream.next();
      expect({ id, event }).toEqual({ id: null, event: null });
      expect(data).toBeTypeOf("object");
    } finally {
      stream.close();
    }
  },
);

test("one HTTP/2 connection carries a dozen live tables and a write beside them", async () => {
  const session = connect(trigon.origin, { ca: trigon.ca });
  const headers = (more: Record<string, string>) => ({ cookie, origin: trigon.origin, ...more });
  const open = (path: string) => session.request(headers({ ":path": path }));
  try {
    const heard = Array.from({ length: 12 }, () => {
      const stream = open("/api/trpc/virtualService.watch").setEncoding("utf8");
      return { stream, text: "" };
    });
    for (const one of heard) {
      one.stream.on("data", (chunk: string) => {
        one.text += chunk;
      });
    }
    await expect.poll(() => heard.every(({ text }) => text.includes("event: connected"))).toBe(true);
    const post = session.request(
      headers({ ":path": "/api/v1/virtual-services", ":method": "POST", "content-type": "application/json" }),
    );
    post.end(JSON.stringify(service("over h2", 8003)));
    const [answer] = (await once(post, "response")) as [{ ":status": number; location: string }];
    expect(answer[":status"]).toBe(201);
    const id = answer.location.split("/").at(-1)!;
    await expect.poll(() => heard.every(({ text }) => text.includes(id) || text.includes('"ids":null'))).toBe(true);
    const foreign = session.request({
      cookie,
      origin: "https://evil.example",
      ":path": "/api/v1/virtual-services",
      ":method": "POST",
    });
    foreign.end("{}");
    const [refused] = (await once(foreign, "response")) as [{ ":status": number }];
    expect(refused[":status"]).toBe(403);
  } finally {
    session.destroy();
  }
});

test("answers of the API carry their protection, and nothing is cached", async () => {
  const { headers } = await trigon.ask("/api/v1/virtual-services", { headers: admin });
  expect(headers).toMatchObject({
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
  });
  expect((await trigon.ask("/somewhere")).status).toBe(502); // the web app's, which is not here
});

const curl = async (...args: string[]) => {
  try {
    const { stdout } = await promisify(execFile)("curl", ["-fsSk", ...args, `${trigon.origin}/enroll/install.sh`]);
    return { code: 0, stdout };
  } catch (error) {
    const { code, stdout } = error as { code: number; stdout: string };
    return { code, stdout };
  }
};

test("first contact: curl takes the script with the printed pin, refuses an impostor's key, and there is no plain http", async () => {
  const created = await trigon.ask("/api/v1/enrollment-tokens", { body: { role: "realServer" }, headers: admin });
  const pin = /--pinnedpubkey '([^']+)'/.exec(created.json.commands.curl)![1]!;
  const { stdout: key } = await promisify(execFile)("sh", [
    "-c",
    `openssl s_client -connect localhost:${new URL(trigon.origin).port} -CAfile '${join(trigon.dataDir, "ca.pem")}' -verify_return_error </dev/null 2>/dev/null | openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | openssl base64`,
  ]);
  expect(pin).toBe(`sha256//${key.trim()}`);

  const good = await curl("--proto", "=https", "--pinnedpubkey", pin);
  expect([good.code, good.stdout.split("\n")[0]]).toEqual([0, "#!/bin/sh"]);
  expect(good.stdout).toContain(trigon.ca.trim());
  const wrong = await curl("--proto", "=https", "--pinnedpubkey", `sha256//${"A".repeat(43)}=`);
  expect(wrong).toEqual({ code: 90, stdout: "" });
  await expect(
    promisify(execFile)("curl", ["-fsS", `http://localhost:${new URL(trigon.origin).port}/enroll/install.sh`]),
  ).rejects.toThrow();
});
