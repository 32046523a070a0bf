import type {} from "@trigon/db/testing/global-setup";
import { createTestDatabase, type TestDatabase } from "@trigon/db/testing/test-database";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { startTestController, type TestController } from "./testing/test-controller.ts";

let database: TestDatabase;
let trigon: TestController;
let admin: { cookie: string };

beforeAll(async () => {
  database = await createTestDatabase();
  trigon = await startTestController(database.url);
  admin = { cookie: await trigon.signIn() };
});
afterAll(async () => {
  await trigon?.close();
  await database?.drop();
});

const password = "first-password";
// Each sign-in hashes a password slowly, on purpose.
vi.setConfig({ testTimeout: 60_000 });
const tryToSignIn = (username: string, word = password) =>
  trigon.ask("/api/auth/sign-in/username", { body: { username, password: word } });
async function cookieOf(username: string, word = password) {
  const answer = await tryToSignIn(username, word);
  if (answer.status !== 200) throw new Error(`sign-in answered ${answer.status}: ${answer.text}`);
  return { cookie: (answer.headers["set-cookie"] ?? []).map((one) => one.split(";", 1)[0]).join("; ") };
}
async function add(username: string, role: string): Promise<string> {
  const answer = await trigon.ask("/api/v1/users", { body: { username, role, password }, headers: admin });
  if (answer.status !== 201) throw new Error(`adding answered ${answer.status}: ${answer.text}`);
  return answer.json.id;
}
const patch = (id: string, body: object, headers = admin) =>
  trigon.ask(`/api/v1/users/${id}`, { method: "PATCH", body, headers });
const service = (name: string, port: number) => ({ name, vip: "198.51.100.10", port, forwarding: "nat" });

test("a viewer writes nothing, an operator runs the fleet without users and tokens, and a new role counts at once", async () => {
  const id = await add("Vera", "viewer");
  const vera = await cookieOf("vera");
  const status = async (path: string, body?: object) => (await trigon.ask(path, { body, headers: vera })).status;
  expect(await status("/api/v1/virtual-services")).toBe(200);
  expect(await status("/api/v1/audit-events")).toBe(200);
  expect(await status("/api/v1/virtual-services", service("no", 81))).toBe(403);
  expect(await status("/api/v1/enrollment-tokens", {})).toBe(403);
  expect(await status("/api/v1/users")).toBe(403);

  expect((await patch(id, { role: "operator" })).json).toMatchObject({ username: "vera", role: "operator" });
  expect(await status("/api/v1/virtual-services", service("yes", 82))).toBe(201);
  expect(await status("/api/v1/users")).toBe(403);
  expect(await status("/api/v1/api-tokens")).toBe(403);
  expect((await patch(id, { role: "admin" }, vera)).status).toBe(403);
  // Nor by sign-in's own endpoint.
  await trigon.ask("/api/auth/update-user", { body: { role: "admin", username: "admin" }, headers: vera });
  expect(await database.sql(`SELECT username, role FROM "user" WHERE id = '${id}'`)).toEqual([
    { username: "vera", role: "operator" },
  ]);
});

test("a disabled user is out at once and cannot come back until enabled; so is one whose password was reset", async () => {
  const id = await add("otto", "operator");
  const otto = await cookieOf("otto");
  expect((await trigon.ask("/api/v1/virtual-services", { headers: otto })).status).toBe(200);
  expect((await patch(id, { disabled: true })).json).toMatchObject({ disabled: true, sessions: 0 });
  expect((await trigon.ask("/api/v1/virtual-services", { headers: otto })).status).toBe(401);
  expect((await tryToSignIn("otto")).status).toBe(403);
  expect(await database.sql(`SELECT * FROM session WHERE "userId" = '${id}'`)).toEqual([]);

  await patch(id, { disabled: false });
  const again = await cookieOf("otto");
  await patch(id, { password: "second-password" });
  expect((await trigon.ask("/api/v1/virtual-services", { headers: again })).status).toBe(401);
  expect((await tryToSignIn("otto")).status).toBe(401);
  await cookieOf("otto", "second-password");

  expect((await trigon.ask(`/api/v1/users/${id}`, { method: "DELETE", headers: admin })).status).toBeLessThan(300);
  expect((await tryToSignIn("otto", "second-password")).status).toBe(401);
  const events = await database.sql<{ event: string }>(
    `SELECT event FROM "auditEvent" WHERE "objectId" = '${id}' ORDER BY at, id`,
  );
  expect(events.map(({ event }) => event).sort()).toEqual(
    ["user.created", "user.disabled", "user.enabled", "user.passwordReset", "user.deleted"].sort(),
  );
  expect(JSON.stringify(await database.sql(`SELECT detail::text FROM "auditEvent"`))).not.toContain("second-password");
});

test("an open stream ends with its session, and another's goes on", async () => {
  const id = await add("stella", "viewer");
  const stella = await cookieOf("stella");
  const watch = (headers: Record<string, string>) => trigon.stream("/api/trpc/virtualService.watch", { headers });
  const [hers, others] = [await watch(stella), await watch(admin)];
  let isOtherOver = false;
  const otherEnded = others.ended.then(() => {
    isOtherOver = true;
  });
  await patch(id, { disabled: true });
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error("the stream goes on")), 10_000).unref());
  await Promise.race([hers.ended, late]);
  expect(isOtherOver).toBe(false);
  others.close();
  await otherEnded;
});

test("the last administrator stays one; of two who go at the same time one stays", async () => {
  const [{ id: first } = { id: "" }] = await database.sql<{ id: string }>(`SELECT id FROM "user" WHERE username = 'admin'`);
  for (const body of [{ role: "viewer" }, { disabled: true }]) {
    const refused = await patch(first, body);
    expect([refused.status, refused.json.code]).toEqual([409, "resource.inUse"]);
  }
  expect((await trigon.ask(`/api/v1/users/${first}`, { method: "DELETE", headers: admin })).status).toBe(409);

  const second = await add("second", "admin");
  const token = { cookie: "", authorization: `Bearer ${await trigon.token(["admin"])}` };
  const both = await Promise.all([first, second].map((id) => patch(id, { role: "viewer" }, token)));
  expect(both.map(({ status }) => status).sort()).toEqual([200, 409]);
  const left = await database.sql(`SELECT 1 FROM "user" WHERE coalesce(role, 'admin') = 'admin'`);
  expect(left).toHaveLength(1);
});
