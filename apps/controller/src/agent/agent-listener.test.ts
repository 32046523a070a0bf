import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Server } from "node:https";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DomainError, type PlanEnvelope } from "@trigon/model";
import { pino } from "pino";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Listening, listenOn } from "../listen.ts";
import type { AgentPort } from "./agent-app.ts";
import { createAgentServer } from "./agent-listener.ts";
import { PlanHub } from "./plan-hub.ts";

// Certificates come from openssl, so that nothing of ours vouches for itself.
let folder: string;
let server: Server;
let listening: Listening;
const hub = new PlanHub();
const revoked = new Set<string>();
const asked: string[] = [];
const day = 86_400_000;
let clockAheadMs = 0;

const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
const file = (name: string) => readFileSync(join(folder, name), "utf8");

function authority(name: string) {
  openssl(
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-days",
    "3650",
    "-subj",
    "/CN=CA",
    "-keyout",
    `${name}.key`,
    "-out",
    `${name}.crt`,
  );
}
function leaf(name: string, ca: string, san: string, usage = "clientAuth") {
  openssl(
    "req",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-subj",
    "/CN=x",
    "-keyout",
    `${name}.key`,
    "-out",
    `${name}.csr`,
  );
  writeFileSync(
    join(folder, `${name}.ext`),
    `basicConstraints=critical,CA:FALSE\nextendedKeyUsage=${usage}\nsubjectAltName=${san}\n`,
  );
  openssl(
    "x509",
    "-req",
    "-in",
    `${name}.csr`,
    "-CA",
    `${ca}.crt`,
    "-CAkey",
    `${ca}.key`,
    "-CAcreateserial",
    "-days",
    "30",
    "-extfile",
    `${name}.ext`,
    "-out",
    `${name}.crt`,
  );
}

const plan = (nodeId: string): PlanEnvelope => ({
  protocol: 1,
  fleetId: "fleet_a",
  epoch: 1,
  generation: 1,
  nodeId,
  since: null,
  observeOnly: false,
  allowMassRemoval: false,
  fragments: [],
  tombstones: [],
});
const port: AgentPort = {
  admit: async ({ nodeId }) => {
    if (revoked.has(nodeId)) throw new DomainError("node.revoked", "This node was revoked.");
  },
  mayStay: ({ nodeId }) => !revoked.has(nodeId),
  planFor: async (nodeId) => {
    asked.push(nodeId);
    return plan(nodeId);
  },
  report: async () => ({ accepted: true, wantFull: false }),
  counters: async () => undefined,
  hint: async () => undefined,
  answered: async () => undefined,
  renew: async () => ({ certificate: "new", ca: "ca" }),
  connected: () => undefined,
  wanted: () => 1,
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "trigon-mtls-"));
  authority("ca");
  authority("foreign");
  leaf("server", "ca", "DNS:localhost", "serverAuth");
  leaf("node", "ca", "URI:trigon://node/node_a");
  leaf("other", "ca", "URI:trigon://node/node_b");
  leaf("stranger", "foreign", "URI:trigon://node/node_a");
  leaf("two-names", "ca", "URI:trigon://node/node_a,URI:trigon://node/node_b");
  leaf("dns-name", "ca", "DNS:trigon.node.node_a");
  leaf("server-as-client", "ca", "URI:trigon://node/node_a", "serverAuth");
  server = createAgentServer({
    tls: { cert: file("server.crt"), key: file("server.key") },
    ca: file("ca.crt"),
    port,
    hub,
    log: pino({ level: "silent" }),
    now: () => Date.now() + clockAheadMs,
  });
  listening = await listenOn(server, [{ host: "127.0.0.1", port: 0 }]);
});
afterAll(async () => {
  await listening.close();
  rmSync(folder, { recursive: true });
});

interface Answer {
  status: number;
  body: string;
}
function ask(
  name: string | null,
  path: string,
  options: { method?: string; body?: string; tls12?: boolean } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const identity = name === null ? {} : { key: file(`${name}.key`), cert: file(`${name}.crt`) };
    const outgoing = request(
      {
        host: "localhost",
        port: listening.ports[0],
        path,
        method: options.method ?? "GET",
        ca: file("ca.crt"),
        agent: false,
        ...identity,
        ...(options.tls12 ? { maxVersion: "TLSv1.2" as const } : {}),
        headers: options.body === undefined ? {} : { "content-type": "application/json" },
      },
      (incoming) => {
        let body = "";
        incoming.on("data", (chunk) => (body += chunk));
        incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, body }));
        incoming.on("error", reject);
      },
    );
    outgoing.on("error", reject);
    outgoing.end(options.body);
  });
}

test("a node is who its certificate says, whatever the request says", async () => {
  expect(JSON.parse((await ask("node", "/agent/v1/plan?nodeId=node_b")).body).nodeId).toBe("node_a");
  expect(JSON.parse((await ask("other", "/agent/v1/plan")).body).nodeId).toBe("node_b");
});

test.each([
  ["no certificate", null],
  ["a certificate of a foreign CA", "stranger"],
  ["two names in one certificate", "two-names"],
  ["a name that is no node URI", "dns-name"],
  ["the listener's kind of certificate", "server-as-client"],
])("%s never gets to ask anything", async (_what, name) => {
  asked.length = 0;
  await expect(ask(name, "/agent/v1/plan")).rejects.toThrow();
  expect(asked).toEqual([]);
});

test("TLS 1.2 is not spoken", async () => {
  await expect(ask("node", "/agent/v1/plan", { tls12: true })).rejects.toThrow();
});

test("a revoked node is told so, and its open stream is cut", async () => {
  const stream = ask("other", "/agent/v1/stream");
  await expect.poll(() => hub.isConnected("node_b")).toBe(true);
  revoked.add("node_b");
  hub.wake("node_b");
  expect((await stream).body).toContain(": connected");
  const answer = await ask("other", "/agent/v1/plan");
  expect([answer.status, JSON.parse(answer.body).code]).toEqual([403, "node.revoked"]);
  expect((await ask("other", "/agent/v1/stream")).status).toBe(403);
});

test("an expired certificate may renew within its grace and nothing else, then nothing at all", async () => {
  const renew = () => ask("node", "/agent/v1/renew", { method: "POST", body: JSON.stringify({ csr: "x" }) });
  clockAheadMs = 31 * day;
  // OpenSSL does not know of our clock: it still takes the certificate, and the listener judges by its own.
  expect((await renew()).status).toBe(200);
  expect((await ask("node", "/agent/v1/plan")).status).toBe(403);
  clockAheadMs = 61 * day;
  await expect(renew()).rejects.toThrow();
  clockAheadMs = 0;
});

test("a body of the wrong shape is refused by the name of its fields, and one too large before it is read", async () => {
  const wrong = await ask("node", "/agent/v1/report", { method: "POST", body: JSON.stringify({ protocol: 1, pass: "one" }) });
  expect(wrong.status).toBe(400);
  const problem = JSON.parse(wrong.body);
  expect(problem.code).toBe("body.invalid");
  expect(problem.errors.map((error: { pointer: string }) => error.pointer)).toContain("/pass");
  const large = JSON.stringify({ csr: "x".repeat(20_000) });
  expect((await ask("node", "/agent/v1/renew", { method: "POST", body: large })).status).toBe(413);
  expect((await ask("node", "/agent/v1/plan?since=ten")).status).toBe(400);
  expect((await ask("node", "/agent/v2/plan")).status).toBe(404);
});
