import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type {} from "@trigon/db/testing/global-setup";
import { createTestDatabase, type TestDatabase } from "@trigon/db/testing/test-database";
import { agentProtocol, type Facts } from "@trigon/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestController, type TestController } from "./testing/test-controller.ts";

let database: TestDatabase;
let trigon: TestController;
let replica: TestController;
let admin: Record<string, string>;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "trigon-agents-"));
  database = await createTestDatabase();
  trigon = await startTestController(database.url);
  replica = await startTestController(database.url, { dataDir: trigon.dataDir });
  admin = { authorization: `Bearer ${await trigon.token(["admin"])}` };
});
afterAll(async () => {
  await replica?.close();
  await trigon?.close();
  await database?.drop();
  await rm(folder, { recursive: true, force: true });
});

// Keys and requests come from openssl.
let count = 0;
async function newRequest(subject = "/CN=whoever") {
  const name = join(folder, `key-${count++}`);
  await promisify(execFile)("openssl", [
    "req",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-subj",
    subject,
    "-keyout",
    `${name}.key`,
    "-out",
    `${name}.csr`,
  ]);
  return { key: await readFile(`${name}.key`, "utf8"), csr: await readFile(`${name}.csr`, "utf8") };
}
const factsOf = (hostname: string, address: string): Facts => ({
  hostname,
  machineId: `machine-${hostname}`,
  bootId: `boot-${hostname}`,
  kernel: "6.1.0",
  architecture: "x86_64",
  interfaces: [{ name: "eth0", mac: "02:00:00:00:00:01", mtu: 1500, up: true, addresses: [{ address, prefix: 24 }] }],
  routes: [{ family: 4, destination: null, prefix: 0, gateway: "10.9.0.1", interface: "eth0", metric: 0 }],
  resolvers: [],
  iptables: "legacy",
});

const createToken = async (role: "director" | "realServer", more: object = {}) =>
  (await trigon.ask("/api/v1/enrollment-tokens", { body: { role, ...more }, headers: admin })).json;

async function enroll(token: string, hostname: string, address: string) {
  const { key, csr } = await newRequest();
  const body = { protocol: agentProtocol, token, csr, agentVersion: "1.0.0", facts: factsOf(hostname, address) };
  const answer = await trigon.ask("/enroll/v1/nodes", { body });
  return { answer, identity: { key, cert: answer.json?.certificate as string } };
}

test("one token makes one node: its certificate speaks for it on every replica, and the token is spent", async () => {
  const { token, id } = await createToken("realServer", { name: "rs-one" });
  const told = await trigon.ask("/enroll/v1/progress", { body: { token, stage: "preflight" } });
  expect(told.json).toEqual({ role: "realServer", name: "rs-one" });
  const { answer, identity } = await enroll(token, "some-host", "10.9.0.11");
  expect(answer.json).toMatchObject({ name: "rs-one", agentUrl: trigon.agentOrigin });
  for (const one of [trigon, replica]) {
    await expect.poll(async () => (await one.askAsAgent("/agent/v1/plan", { identity })).status).toBe(200);
    const plan = (await one.askAsAgent("/agent/v1/plan", { identity })).json;
    expect(plan).toMatchObject({ nodeId: answer.json.nodeId, fleetId: answer.json.fleetId, since: null });
  }
  const again = await enroll(token, "other-host", "10.9.0.12");
  expect([again.answer.status, again.answer.json.code]).toEqual([401, "token.used"]);
  expect((await trigon.ask("/enroll/v1/progress", { body: { token, stage: "preflight" } })).json.code).toBe("token.used");
  expect(await database.sql(`SELECT count(*)::int AS n FROM node WHERE name = 'other-host'`)).toEqual([{ n: 0 }]);
  // The secret is nowhere in the database.
  const { secret } = JSON.parse(Buffer.from(token.slice("trg1.".length), "base64url").toString());
  const rows = await database.sql(`SELECT row_to_json(t)::text AS text FROM "enrollmentToken" t WHERE id = '${id}'`);
  expect(JSON.stringify(rows)).not.toContain(secret);
});

test("a token that expired, was revoked, or never was, makes no node", async () => {
  const nodes = () => database.sql(`SELECT count(*)::int AS n FROM node`);
  const before = await nodes();
  const expired = await createToken("realServer");
  await database.sql(`UPDATE "enrollmentToken" SET "expiresAt" = now() - interval '1 minute' WHERE id = '${expired.id}'`);
  expect((await enroll(expired.token, "late", "10.9.0.13")).answer.json.code).toBe("token.expired");
  const revoked = await createToken("realServer");
  await trigon.ask(`/api/v1/enrollment-tokens/${revoked.id}/revoke`, { method: "POST", headers: admin });
  expect((await enroll(revoked.token, "gone", "10.9.0.13")).answer.json.code).toBe("token.revoked");
  const forged = `trg1.${Buffer.from(JSON.stringify({ id: expired.id, secret: "x" })).toString("base64url")}`;
  expect((await enroll(forged, "thief", "10.9.0.13")).answer.json.code).toBe("token.invalid");
  const wrong = await trigon.ask("/enroll/v1/nodes", { body: { token: 7 } });
  expect([wrong.status, wrong.json.code]).toEqual([400, "body.invalid"]);
  expect(wrong.json.errors.map((error: { pointer: string }) => error.pointer)).toEqual(
    expect.arrayContaining(["/token", "/csr"]),
  );
  expect(await nodes()).toEqual(before);
});

test("a name that a request claims is not believed", async () => {
  const { token } = await createToken("realServer");
  const { csr } = await newRequest("/CN=node_admin/O=trigon");
  const body = { protocol: agentProtocol, token, csr, agentVersion: "1.0.0", facts: factsOf("claimer", "10.9.0.14") };
  const { certificate, nodeId } = (await trigon.ask("/enroll/v1/nodes", { body })).json;
  const shown = promisify(execFile)("openssl", ["x509", "-noout", "-subject", "-ext", "subjectAltName"]);
  shown.child.stdin!.end(certificate);
  const { stdout } = await shown;
  expect(stdout).toContain(`CN = ${nodeId}`);
  expect(stdout).toContain(`URI:trigon://node/${nodeId}`);
  expect(stdout).not.toContain("node_admin");
});

test("a write reaches a node's open stream at once, through whichever replica either came", async () => {
  const director = await enroll((await createToken("director")).token, "dir-a", "10.9.0.2");
  const server = await enroll((await createToken("realServer")).token, "rs-a", "10.9.0.21");
  expect([director.answer.status, server.answer.status]).toEqual([200, 200]);
  const { identity } = director;
  await expect.poll(async () => (await replica.askAsAgent("/agent/v1/plan", { identity })).status).toBe(200);
  const streams = [
    await trigon.stream("/agent/v1/stream", { identity, toAgents: true }),
    await replica.stream("/agent/v1/stream", { identity, toAgents: true }),
  ];
  try {
    for (const stream of streams) expect((await stream.next()).event).toBe("plan");
    const waits: number[] = [];
    for (let round = 0; round < 10; round++) {
      const body = {
        name: `live ${round}`,
        vip: `10.9.0.${200 + round}`,
        port: 80,
        forwarding: "nat",
        realServers: [{ rip: "10.9.0.21" }],
      };
      const answer = await trigon.ask("/api/v1/virtual-services", { body, headers: admin });
      expect(answer.status, answer.text).toBe(201);
      const answeredAt = performance.now();
      const [{ sequence }] = (await database.sql<{ sequence: number }>(
        `SELECT sequence FROM "virtualService" WHERE id = '${answer.json.id}'`,
      )) as [{ sequence: number }];
      for (const stream of streams) {
        for (let generation = 0; generation < sequence; ) generation = Number((await stream.next()).id);
      }
      waits.push(performance.now() - answeredAt);
    }
    expect(waits.sort((a, b) => a - b)[5]).toBeLessThan(100);
    const plan = (await replica.askAsAgent("/agent/v1/plan", { identity })).json;
    expect(plan.fragments.length).toBeGreaterThan(0);
    expect(plan).toEqual((await trigon.askAsAgent("/agent/v1/plan", { identity })).json);
  } finally {
    for (const stream of streams) stream.close();
  }
});

test("a node with an open stream is connected, and is not when it is gone", async () => {
  const { answer, identity } = await enroll((await createToken("realServer")).token, "rs-live", "10.9.0.31");
  const isConnected = async (one: TestController) =>
    (await one.ask(`/api/v1/nodes/${answer.json.nodeId}`, { headers: admin })).json.isConnected;
  const stream = await trigon.stream("/agent/v1/stream", { identity, toAgents: true });
  for (const one of [trigon, replica]) await expect.poll(() => isConnected(one), { timeout: 5_000 }).toBe(true);
  stream.close();
  for (const one of [trigon, replica]) await expect.poll(() => isConnected(one), { timeout: 5_000 }).toBe(false);
});

test("a revoked node is cut off on every replica, is told why, and its traffic is nobody's business", async () => {
  const { answer, identity } = await enroll((await createToken("realServer")).token, "rs-bad", "10.9.0.41");
  const { nodeId } = answer.json;
  await expect.poll(async () => (await replica.askAsAgent("/agent/v1/plan", { identity })).status).toBe(200);
  const stream = await replica.stream("/agent/v1/stream", { identity, toAgents: true });
  const { headers } = await trigon.ask(`/api/v1/nodes/${nodeId}`, { headers: admin });
  const revoked = await trigon.ask(`/api/v1/nodes/${nodeId}/revoke`, {
    method: "POST",
    headers: { ...admin, "if-match": headers.etag! },
  });
  expect(revoked.status, revoked.text).toBe(200);
  await stream.ended;
  for (const one of [trigon, replica]) {
    const refused = await one.askAsAgent("/agent/v1/plan", { identity });
    expect([refused.status, refused.json.code]).toEqual([403, "node.revoked"]);
  }
});

test("a certificate is renewed over its own connection, with a new key", async () => {
  const { answer, identity } = await enroll((await createToken("realServer")).token, "rs-renew", "10.9.0.51");
  const { key, csr } = await newRequest();
  const renewed = await trigon.askAsAgent("/agent/v1/renew", { body: { csr }, identity });
  expect(renewed.status).toBe(200);
  const plan = await trigon.askAsAgent("/agent/v1/plan", { identity: { key, cert: renewed.json.certificate } });
  expect(plan.json.nodeId).toBe(answer.json.nodeId);
  expect((await trigon.askAsAgent("/agent/v1/renew", { body: { csr: "nonsense" }, identity })).json.code).toBe("csr.invalid");
});
