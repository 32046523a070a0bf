import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Database, openDatabase } from "@trigon/db";
import { createTestDatabase, type TestDatabase } from "@trigon/db/testing/test-database";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Auth, actorOfSession, createAuth } from "./auth.ts";
import { ensureFirstAdmin } from "./first-admin.ts";

const log = pino({ level: "silent" });
let test_: TestDatabase;
let database: Database;
let auth: Auth;
let dataDir: string;

beforeAll(async () => {
  test_ = await createTestDatabase();
  database = await openDatabase(test_.url, "fleet_test");
  auth = createAuth({ prisma: database.prisma, secretKey: Buffer.alloc(32, 7), publicUrl: "https://lb.example:8443", log });
  dataDir = await mkdtemp(join(tmpdir(), "trigon-auth-"));
});
afterAll(async () => {
  await database.close();
  await test_.drop();
  await rm(dataDir, { recursive: true });
});

const signIn = (body: object, headers: Record<string, string> = {}, path = "sign-in/username") =>
  auth.handler(
    new Request(`https://lb.example:8443/api/auth/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", host: "lb.example:8443", ...headers },
      body: JSON.stringify(body),
    }),
  );

test("the first start makes one administrator, whose password is in a file that only its owner reads", async () => {
  const admin = { username: "Admin", password: null };
  await Promise.all([1, 2, 3].map(() => ensureFirstAdmin({ auth, admin, dataDir, log })));
  await ensureFirstAdmin({ auth, admin, dataDir, log });
  expect(await test_.sql(`SELECT username FROM "user"`)).toEqual([{ username: "admin" }]);
  const file = join(dataDir, "first-admin.json");
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const { username, password } = JSON.parse(await readFile(file, "utf8"));

  const answer = await signIn({ username, password });
  expect(answer.status).toBe(200);
  const cookie = answer.headers.getSetCookie().find((one) => one.includes("session_token"))!;
  expect(cookie).toMatch(/^__Secure-trigon\.session_token=/);
  expect(cookie).toMatch(/HttpOnly/i);
  expect(cookie).toMatch(/Secure/i);
  expect(cookie).toMatch(/SameSite=Lax/i);
  expect(await actorOfSession(auth, new Headers({ cookie: cookie.split(";")[0]! }))).toMatchObject({
    kind: "user",
    name: "admin",
  });

  // The password is nowhere in the database.
  const rows = await test_.sql(
    `SELECT row_to_json(a)::text AS text FROM account a UNION ALL SELECT row_to_json(u)::text FROM "user" u`,
  );
  expect(JSON.stringify(rows)).not.toContain(password);
});

test("a wrong password and a made-up cookie get no session", async () => {
  expect((await signIn({ username: "admin", password: "wrong-password" })).status).toBe(401);
  expect(await actorOfSession(auth, new Headers({ cookie: "__Secure-trigon.session_token=abc.def" }))).toBeNull();
});

test("nobody signs up by themselves", async () => {
  const before = await test_.sql(`SELECT count(*)::int AS n FROM "user"`);
  const body = { email: "a@b.example", password: "long-enough-1", name: "a", username: "eve" };
  expect((await signIn(body, {}, "sign-up/email")).status).toBe(404);
  expect(await test_.sql(`SELECT count(*)::int AS n FROM "user"`)).toEqual(before);
});
