import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { until } from "@trigon/db/testing/test-database";
import { roleScopes } from "@trigon/model";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { createCaller } from "./router.ts";
import { createTestFleet, specOf, type TestAgent, type TestFleet } from "./testing/fleet.ts";

let fleet: TestFleet;
let director: TestAgent;
beforeAll(async () => {
  fleet = await createTestFleet();
  ({ director } = await fleet.enrollPair());
});
afterAll(() => fleet.close());

interface Message {
  at: number;
  headers: IncomingHttpHeaders;
  body: string;
  events: { id: string; topic: string; kind: string; objectName: string | null; actor: string | null; message: string }[];
}

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
  for (const { id } of (await fleet.caller.notificationTarget.list()).data) await fleet.caller.notificationTarget.remove({ id });
});

/** A program that takes messages and answers as it is told; it is the tests' only witness of what was sent. */
async function receiver(answer: (count: number) => { status: number; location?: string } = () => ({ status: 204 })) {
  const messages: Message[] = [];
  const paths: string[] = [];
  const server: Server = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => {
      body += chunk;
    });
    request.on("end", () => {
      paths.push(request.url ?? "");
      messages.push({ at: Date.now(), headers: request.headers, body, events: JSON.parse(body).events });
      const { status, location } = answer(messages.length);
      response.writeHead(status, location === undefined ? {} : { location }).end("so be it");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  const kinds = () => messages.flatMap(({ events }) => events.map(({ kind }) => kind));
  return { url, messages, paths, kinds };
}

let made = 0;
const create = (url: string, more: object = {}) =>
  fleet.caller.notificationTarget.create({ spec: { name: `target ${++made}`, url, topics: ["changes"], ...more } });
let port = 8_000;
const change = () => fleet.caller.virtualService.create({ spec: specOf({ name: `svc ${++port}`, port }) });
const viewOf = async (id: string) => (await fleet.caller.notificationTarget.list()).data.find((one) => one.id === id)!;
const waiting = () => fleet.database.sql<{ eventId: string }>(`SELECT "eventId" FROM notification`);
/** Lets the pause between two messages, or before the next attempt, be over. */
const skip = (ms: number) => {
  fleet.clock.aheadMs += ms;
};

test("an event is told in a signed message, and what came of it is kept", async () => {
  const { url, messages } = await receiver();
  const secret = "a secret that signs";
  const target = await create(url, { secret });
  expect(target).toMatchObject({ hasSecret: true, last: null, waiting: 0 });
  const service = await change();
  await until(() => messages.length > 0);
  const [{ headers, body, events }] = messages as [Message];
  const timestamp = headers["x-trigon-timestamp"] as string;
  expect(Math.abs(Number(timestamp) - Date.now() / 1000)).toBeLessThan(30);
  const wanted = Buffer.from(`v1=${createHmac("sha256", secret).update(`${timestamp}.${body}`).digest("hex")}`);
  expect(timingSafeEqual(Buffer.from(headers["x-trigon-signature"] as string), wanted)).toBe(true);
  expect(headers["content-type"]).toBe("application/json");
  expect(events.map(({ kind }) => kind)).toContain("virtualService.created");
  expect(events.find(({ kind }) => kind === "virtualService.created")).toMatchObject({
    topic: "changes",
    actor: "ada",
    objectName: service.name,
  });
  const [row] = await fleet.database.sql<{ id: string }>(
    `SELECT id FROM "auditEvent" WHERE "objectId" = '${service.id}' AND event = 'virtualService.created'`,
  );
  expect(events.map(({ id }) => id)).toContain(row!.id);
  await until(async () => (await viewOf(target.id)).last !== null);
  expect(await viewOf(target.id)).toMatchObject({ last: { outcome: "delivered", status: 204 }, failingSince: null, waiting: 0 });
  // The secret is nowhere to be read.
  const [stored] = await fleet.database.sql<{ row: string }>(`SELECT t::text AS row FROM "notificationTarget" t`);
  expect(stored!.row).not.toContain(Buffer.from(secret).toString("hex"));
  expect(JSON.stringify(await viewOf(target.id))).not.toContain(secret);
  expect(JSON.stringify(await fleet.database.sql(`SELECT * FROM "auditEvent"`))).not.toContain(secret);
});

test("only wanted topics are told, what nodes find as well, and what was rolled back never", async () => {
  const { url, messages, kinds } = await receiver();
  await create(url, { topics: ["drift"] });
  const service = await change();
  const key = `ipvsService tcp 192.0.2.100 ${service.port}`;
  await director.turn();
  await director.report({ events: [{ at: new Date().toISOString(), kind: "drift.found", key, message: "weight 9, wanted 1" }] });
  await until(() => messages.length > 0);
  expect(kinds()).toEqual(["drift.found"]);
  expect(messages[0]!.events[0]).toMatchObject({ topic: "drift", objectName: service.name, message: "lb-1: weight 9, wanted 1" });
  const spec = specOf({ name: "never", port: 7_999 });
  const every = await create(url, { topics: ["drift", "health", "takeover", "changes", "nodes", "access"] });
  await fleet.caller.virtualService.preview({ action: "create", spec });
  expect((await waiting()).length + messages.length).toBe((await viewOf(every.id)).waiting + 1);
  expect(await fleet.database.sql(`SELECT 1 FROM notification WHERE detail::text LIKE '%never%'`)).toEqual([]);
});

test("a receiver that fails is asked again later and later, and told everything once it answers", async () => {
  const { url, messages, kinds } = await receiver((count) => ({ status: count < 3 ? 500 : 200 }));
  const target = await create(url);
  await change();
  await until(async () => (await viewOf(target.id)).failingSince !== null);
  const first = await viewOf(target.id);
  expect(first).toMatchObject({ last: { outcome: "status", status: 500 } });
  const pauseOf = ({ nextAt, last }: typeof first) => Date.parse(nextAt!) - Date.parse(last!.at);
  expect(pauseOf(first)).toBeGreaterThanOrEqual(2_500);
  expect(pauseOf(first)).toBeLessThanOrEqual(7_500);
  await change();
  skip(8_000);
  await until(async () => (await viewOf(target.id)).last!.at !== first.last!.at);
  const second = await viewOf(target.id);
  expect(pauseOf(second)).toBeGreaterThanOrEqual(5_000);
  expect(second.failingSince).toBe(first.failingSince);
  skip(16_000);
  await until(async () => (await viewOf(target.id)).last?.outcome === "delivered");
  expect(messages).toHaveLength(3);
  expect(messages[2]!.events.filter(({ kind }) => kind === "virtualService.created")).toHaveLength(2);
  expect(await viewOf(target.id)).toMatchObject({ waiting: 0, failingSince: null, nextAt: null });
  expect(await waiting()).toEqual([]);
  expect(kinds().length).toBeGreaterThan(0);
});

test("with two replicas each target is told each event once, a burst in one message", async () => {
  const other = await fleet.replica();
  closing.push(() => other.close());
  other.clock.aheadMs = fleet.clock.aheadMs;
  const [one, two] = [await receiver(), await receiver()];
  await create(one.url);
  await create(two.url);
  const ids = new Set<string>();
  for (let round = 0; round < 4; round++) {
    const writing = [1, 2, 3, 4, 5].map((step) => {
      const { caller } = step % 2 === 0 ? fleet : other;
      return caller.virtualService.create({ spec: specOf({ name: `svc ${++port}`, port }) });
    });
    for (const { id } of await Promise.all(writing)) ids.add(id);
    for (const { clock } of [fleet, other]) clock.aheadMs += 11_000;
    await until(async () => (await waiting()).length === 0);
  }
  const audited = await fleet.database.sql<{ id: string }>(
    `SELECT id FROM "auditEvent" WHERE event = 'virtualService.created' AND "objectId" IN (${[...ids].map((id) => `'${id}'`)})`,
  );
  for (const { messages } of [one, two]) {
    const told = messages.flatMap(({ events }) => events.filter(({ kind }) => kind === "virtualService.created"));
    expect(told.map(({ id }) => id).toSorted()).toEqual(audited.map(({ id }) => id).toSorted());
    expect(messages.length).toBeLessThanOrEqual(5);
  }
}, 60_000);

test("a redirect is refused, and its aim is not asked", async () => {
  const aim = await receiver();
  const { url } = await receiver(() => ({ status: 307, location: aim.url }));
  const target = await create(url);
  expect(await fleet.caller.notificationTarget.test({ id: target.id })).toMatchObject({ outcome: "redirect", status: 307 });
  expect(aim.messages).toEqual([]);
});

test("a receiver that takes the connection and says nothing holds up neither writes nor others", async () => {
  const sockets: { destroy(): unknown }[] = [];
  const mute = createTcpServer((socket) => sockets.push(socket));
  await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    mute.close();
  });
  const dead = await create(`http://127.0.0.1:${(mute.address() as AddressInfo).port}/`);
  const { url, kinds } = await receiver();
  await create(url);
  await change();
  await until(() => sockets.length > 0);
  const startedAt = Date.now();
  await change();
  skip(11_000);
  await until(() => kinds().filter((kind) => kind === "virtualService.created").length === 2);
  expect(Date.now() - startedAt).toBeLessThan(5_000);
  expect(await viewOf(dead.id)).toMatchObject({ last: null, waiting: expect.any(Number) });
  await until(async () => (await viewOf(dead.id)).last?.outcome === "timeout", 20_000);
});

test("a test says what is wrong in a word for programs", async () => {
  const { url, messages } = await receiver();
  const target = await create(url, { enabled: false });
  const attempt = () => fleet.caller.notificationTarget.test({ id: target.id });
  expect(await attempt()).toMatchObject({ outcome: "delivered", status: 204 });
  expect(messages[0]!.events).toMatchObject([{ kind: "notification.test", topic: "test" }]);
  expect(messages[0]!.headers["x-trigon-signature"]).toBeUndefined();
  await fleet.caller.notificationTarget.patch({ id: target.id, patch: { url: "http://127.0.0.1:9/" } });
  expect(await attempt()).toMatchObject({ status: null, outcome: expect.stringMatching(/^(refused|network)$/) });
  await fleet.caller.notificationTarget.patch({ id: target.id, patch: { url: "http://nowhere.invalid/" } });
  expect(await attempt()).toMatchObject({ outcome: "name", status: null });
  await fleet.caller.notificationTarget.patch({ id: target.id, patch: { url: url.replace("http:", "https:") } });
  expect(await attempt()).toMatchObject({ outcome: "tls", status: null });
  const events = await fleet.database.sql<{ event: string }>(
    `SELECT event FROM "auditEvent" WHERE "objectId" = '${target.id}' ORDER BY at, id`,
  );
  expect(new Set(events.map(({ event }) => event))).toEqual(
    new Set(["notificationTarget.created", "notificationTarget.tested", "notificationTarget.updated"]),
  );
});

test("an administrator edits, others look and do not see the URL's path; input is checked and the number is bounded", async () => {
  const target = await create("https://hooks.example.com/T0/secret-path");
  const vera = createCaller({
    services: fleet.api.services,
    actor: { kind: "user", name: "vera", scopes: roleScopes.viewer },
    requestId: "req_1",
  });
  expect((await vera.notificationTarget.list()).data).toMatchObject([{ url: "https://hooks.example.com" }]);
  const forbidden = { cause: { code: "auth.forbidden" } };
  await expect(vera.notificationTarget.test({ id: target.id })).rejects.toMatchObject(forbidden);
  await expect(vera.notificationTarget.patch({ id: target.id, patch: { enabled: false } })).rejects.toMatchObject(forbidden);
  for (const [field, wrong] of [
    ["url", { url: "ftp://example.com/" }],
    ["url", { url: "https://user:word@example.com/" }],
    ["topics", { topics: [] }],
    ["secret", { secret: "short" }],
  ] as const) {
    await expect(create("https://example.com/", wrong)).rejects.toMatchObject({
      cause: { fields: [{ pointer: expect.stringMatching(`^(/spec)?/${field}`) }] },
    });
  }
  await expect(create("https://example.com/", { name: target.name })).rejects.toMatchObject({
    cause: { code: "resource.exists" },
  });
  for (let count = 1; count < 20; count++) await create("http://127.0.0.1:9/", { enabled: false });
  await expect(create("https://example.com/")).rejects.toMatchObject({ cause: { code: "resource.tooMany" } });
});

test("what waits too long or is too much is given up and counted, and the rest goes on", async () => {
  const target = await create("http://127.0.0.1:9/");
  await fleet.database.sql(
    `INSERT INTO notification ("targetId", "eventId", topic, source, kind, at, detail)
     SELECT '${target.id}', 'old ' || n, 'changes', 'audit', 'change.kept', now() AT TIME ZONE 'UTC' - interval '7 hours', '{}'::jsonb
       FROM generate_series(1, 10) n
     UNION ALL SELECT '${target.id}', 'new ' || n, 'changes', 'audit', 'change.kept', now() AT TIME ZONE 'UTC', '{}'::jsonb FROM generate_series(1, 2100) n`,
  );
  skip(11_000);
  await until(async () => (await viewOf(target.id)).dropped > 0);
  expect(await viewOf(target.id)).toMatchObject({ dropped: 110, waiting: 2_000 });
});

test("a node that went silent is told of, and its return, once each", async () => {
  const { url, kinds } = await receiver();
  const isKnownLost = async () => {
    const [row] = await fleet.database.sql<{ since: Date | null }>(
      `SELECT "unreachableSince" AS since FROM "nodePresence" WHERE "nodeId" = '${director.nodeId}'`,
    );
    return row?.since != null;
  };
  // It may have been silent through the tests before this one.
  await director.turn();
  await until(async () => !(await isKnownLost()), 20_000);
  await create(url, { topics: ["nodes"] });
  skip(70_000);
  await until(() => kinds().includes("node.unreachable"), 20_000);
  await director.turn();
  skip(11_000);
  await until(() => kinds().includes("node.reachable"), 20_000);
  expect(kinds().filter((kind) => kind.endsWith("reachable"))).toEqual(["node.unreachable", "node.reachable"]);
});

test("a change that fails on a node is told of once", async () => {
  const { url, messages } = await receiver();
  await create(url);
  const { id, name } = await change();
  await director.fetch();
  const failing = director.composed();
  for (const fragment of failing.fragments)
    if (fragment.id.includes(id)) Object.assign(fragment, { state: "failed", message: "the kernel said no" });
  await director.api.agents.report(director.nodeId, failing);
  const failed = () => messages.flatMap(({ events }) => events.filter(({ kind }) => kind === "change.failed"));
  await until(() => {
    skip(1_000);
    return failed().length > 0;
  }, 20_000);
  expect(failed()).toMatchObject([
    { topic: "changes", objectName: name, message: expect.stringContaining("the kernel said no") },
  ]);
});
