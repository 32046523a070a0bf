import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Database, DatabaseNewerError, listen, migrate, openDatabase, startEmbeddedPostgres } from "./index.ts";
import { createTestDatabase, type TestDatabase, until } from "./testing/test-database.ts";

let database: TestDatabase;
let db: Database;
beforeAll(async () => {
  database = await createTestDatabase();
  db = await openDatabase(database.url, "fleet_test");
});
afterAll(async () => {
  await db.close();
  await database.drop();
});

const sequence = async () => (await database.sql<{ sequence: number }>("SELECT sequence FROM fleet"))[0]?.sequence;

test("schema.prisma and the migrations agree", () => {
  const args = [
    "prisma",
    "migrate",
    "diff",
    "--from-config-datasource",
    "--to-schema",
    "../../prisma/schema.prisma",
    "--exit-code",
  ];
  const env = { ...process.env, DATABASE_URL: database.url };
  const diff = spawnSync("npx", args, { cwd: path.join(import.meta.dirname, ".."), env, encoding: "utf8" });
  expect({ status: diff.status, said: diff.status === 0 ? "" : diff.stdout + diff.stderr }).toEqual({ status: 0, said: "" });
});

test("migrating twice applies nothing the second time", async () => {
  expect(await migrate(database.url)).toEqual([]);
});

test("a database of a newer Trigon is refused and left as it is", async () => {
  const newer = await createTestDatabase();
  await newer.sql(
    `INSERT INTO "_prisma_migrations" (id, checksum, migration_name, finished_at) VALUES ('x', 'y', '9999_from_the_future', now())`,
  );
  await expect(migrate(newer.url)).rejects.toThrow(DatabaseNewerError);
  await newer.drop();
});

test("two programs that start at once migrate once", async () => {
  const empty = await createTestDatabase({ isEmpty: true });
  const applied = await Promise.all([migrate(empty.url), migrate(empty.url)]);
  expect(applied.flat().length).toBe(fs.readdirSync(path.resolve(import.meta.dirname, "../../../prisma/migrations")).length - 1);
  await empty.drop();
});

test("a second opening keeps the fleet's id", async () => {
  await (await openDatabase(database.url, "fleet_other")).close();
  expect(await database.sql("SELECT id FROM fleet")).toEqual([{ id: "fleet_test" }]);
});

test("a write takes the next sequence and tells it to every listener; a failed one takes none", async () => {
  const heard: number[] = [];
  const listener = listen(database.url, (value) => heard.push(value));
  await until(() => listener.isConnected());
  const before = (await sequence())!;
  const given = await db.write(async (_tx, fleet) => fleet.sequence);
  expect(given).toBe(before + 1);
  await until(() => heard.includes(given));
  await expect(db.write(() => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await sequence()).toBe(given);
  await listener.close();
});

test("concurrent writes get sequences without gaps or twins", async () => {
  const before = (await sequence())!;
  const given = await Promise.all(Array.from({ length: 20 }, () => db.write(async (_tx, fleet) => fleet.sequence)));
  expect([...given].sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, at) => before + 1 + at));
});

test("a listener whose connection was cut hears what it missed", async () => {
  const heard: number[] = [];
  const listener = listen(database.url, (value) => heard.push(value));
  await until(() => listener.isConnected());
  await database.sql(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' OR query = 'SELECT sequence FROM fleet'`,
  );
  const given = await db.write(async (_tx, fleet) => fleet.sequence);
  await until(() => heard.includes(given));
  await listener.close();
});

test("while a restored database waits for an operator only the confirmation is written", async () => {
  await database.sql(`UPDATE fleet SET "observeOnly" = true`);
  await expect(db.write(async () => 1)).rejects.toMatchObject({ code: "fleet.observeOnly" });
  expect(await db.write(async () => 2, { evenObserving: true })).toBe(2);
  await database.sql(`UPDATE fleet SET "observeOnly" = false`);
});

test("embedded Postgres comes back by itself after kill -9, with every committed row, on the same port", async () => {
  const dataDir = fs.mkdtempSync(path.join(os.tmpdir(), "trigon-test-"));
  const postgres = await startEmbeddedPostgres({ dataDir });
  await migrate(postgres.url);
  const own = await openDatabase(postgres.url, "fleet_kept");
  await own.write(async () => undefined);
  const first = postgres.pid()!;
  const { url } = postgres;
  process.kill(first, "SIGKILL");
  await until(() => postgres.pid() !== undefined && postgres.pid() !== first, 30_000);
  const row = await until(
    () =>
      own.prisma.fleet.findFirst().then(
        (fleet) => fleet ?? undefined,
        () => undefined,
      ),
    30_000,
  );
  expect(row).toMatchObject({ id: "fleet_kept", sequence: 1 });
  expect(postgres.url).toBe(url);
  await own.close();
  await postgres.stop();
  expect(() => execFileSync("cat", [`/proc/${first}/status`], { stdio: "pipe" })).toThrow();
  fs.rmSync(dataDir, { recursive: true });
  fs.rmSync(postgres.folder, { recursive: true, force: true });
});
