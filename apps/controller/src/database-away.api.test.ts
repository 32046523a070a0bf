import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "@trigon/db";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestController, type TestController } from "./testing/test-controller.ts";

// A Postgres of its own: this file takes it away.
let dataDir: string;
let postgres: EmbeddedPostgres;
let trigon: TestController;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "trigon-away-"));
  await chmod(dataDir, 0o755);
  postgres = await startEmbeddedPostgres({ dataDir });
  trigon = await startTestController(postgres.url);
});
afterAll(async () => {
  await trigon?.close();
  await postgres?.stop();
  await rm(dataDir, { recursive: true, force: true });
});

test("while Postgres is away every answer says so and nobody is signed out; when it is back all goes on by itself", async () => {
  const cookie = await trigon.signIn();
  const admin = { authorization: `Bearer ${await trigon.token(["admin"])}` };
  const stream = await trigon.stream("/api/trpc/virtualService.watch", { headers: { cookie } });
  expect((await stream.next()).event).toBe("connected");

  await postgres.stop();
  const away = async () => [
    await trigon.ask("/healthz"),
    await trigon.ask("/api/v1/virtual-services", { headers: admin }),
    await trigon.ask("/api/v1/virtual-services", { headers: { cookie } }),
    await trigon.ask("/api/trpc/user.me", { headers: { cookie } }),
    await trigon.ask("/api/auth/get-session", { headers: { cookie } }),
    await trigon.ask("/api/auth/sign-in/username", { body: trigon.admin }),
    await trigon.ask("/api/v1/virtual-services", {
      body: { name: "x", vip: "10.9.0.5", port: 80, forwarding: "nat" },
      headers: admin,
    }),
  ];
  await expect.poll(async () => (await trigon.ask("/healthz")).status, { timeout: 10_000 }).toBe(503);
  const [health, ...answers] = await away();
  expect(health!.json).toEqual({ live: true, database: "down" });
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 503));
  expect(answers[0]!.json).toMatchObject({ code: "service.unavailable", retry: true });
  expect(answers[0]!.headers["retry-after"]).toBe("2");

  postgres = await startEmbeddedPostgres({ dataDir });
  await expect.poll(async () => (await trigon.ask("/healthz")).status, { timeout: 20_000 }).toBe(200);
  const [, ...back] = await away();
  expect(back.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 201]);
  // A subscription that stood all the while hears of the write, too.
  await stream.next(10_000);
  stream.close();
});
