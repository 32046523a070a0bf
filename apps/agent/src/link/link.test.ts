import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FakeKernel } from "@trigon/kernel/testing/fake";
import { AgentReport, agentProtocol, EnrollRequest, type PlanEnvelope } from "@trigon/model";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { silentLog } from "../log.ts";
import { loopTimes } from "../loop.ts";
import { type Node, openNode } from "../node.ts";
import { newKeyAndRequest } from "../state/csr.ts";
import { type Identity, readIdentity, storeIdentity } from "../state/identity.ts";
import { eventually } from "../testing/eventually.ts";
import { directorService, planEnvelope } from "../testing/plans.ts";
import { ControllerLink } from "./controller-link.ts";
import { enroll } from "./enroll.ts";
import type { HttpError } from "./http.ts";
import { Reporter } from "./reporter.ts";

// A controller as the protocol describes it, with certificates by openssl, so that nothing of ours vouches for itself.
let folder: string;
let server: Server;
let port = 0;
const file = (name: string) => readFileSync(join(folder, name), "utf8");
const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

function authority(name: string): void {
  openssl("req", "-x509", ...newKey, "-days", "3650", "-subj", `/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.crt`);
}
function sign(csr: string, ca: string, extensions: string): string {
  writeFileSync(join(folder, "in.csr"), csr);
  writeFileSync(join(folder, "ext"), extensions);
  openssl(
    ...["x509", "-req", "-in", "in.csr", "-CA", `${ca}.crt`, "-CAkey", `${ca}.key`, "-CAcreateserial"],
    ...["-days", "30", "-extfile", "ext", "-out", "out.crt"],
  );
  return file("out.crt");
}
const signNode = (csr: string) => sign(csr, "ca", "extendedKeyUsage=clientAuth\nsubjectAltName=URI:trigon://node/node_1\n");

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "trigon-link-"));
  authority("ca");
  authority("other");
  openssl("req", ...newKey, "-subj", "/CN=controller", "-keyout", "server.key", "-out", "server.csr");
  writeFileSync(
    join(folder, "server.crt"),
    sign(file("server.csr"), "ca", "extendedKeyUsage=serverAuth\nsubjectAltName=DNS:localhost\n"),
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the controller knows and was told. */
const state = {
  plan: null as PlanEnvelope | null,
  streams: new Set<ServerResponse>(),
  reports: [] as AgentReport[],
  wantFull: false,
  refusal: null as { status: number; code: string } | null,
  streamStatus: 200,
  down: false,
  renewed: 0,
  enrolled: [] as EnrollRequest[],
  asked: [] as string[],
  answers: [] as unknown[],
};

async function handle(request: IncomingMessage, answer: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = chunks.length > 0 ? JSON.parse(Buffer.concat(chunks).toString()) : undefined;
  const url = new URL(request.url!, "https://localhost");
  const json = (status: number, value: unknown) => {
    answer.writeHead(status, { "content-type": "application/json" });
    answer.end(JSON.stringify(value));
  };
  state.asked.push(url.pathname);
  if (url.pathname === "/enroll/v1/nodes") {
    if (body.token === "used-token") return json(401, { code: "token.used", detail: "This token was used already." });
    state.enrolled.push(EnrollRequest.parse(body));
    const urls = { agentUrl: `https://localhost:${port}`, consoleUrl: `https://localhost:${port}` };
    return json(200, {
      fleetId: "fleet_1",
      nodeId: "node_1",
      name: "dir1",
      certificate: signNode(body.csr),
      ca: file("ca.crt"),
      ...urls,
    });
  }
  if (!(request.socket as import("node:tls").TLSSocket).authorized) return json(401, { code: "auth.required" });
  if (state.refusal) return json(state.refusal.status, { code: state.refusal.code, detail: state.refusal.code });
  switch (url.pathname) {
    case "/agent/v1/stream":
      if (state.streamStatus !== 200) return json(state.streamStatus, {});
      answer.writeHead(200, { "content-type": "text/event-stream" });
      answer.write(": connected\n\n");
      state.streams.add(answer);
      answer.on("close", () => state.streams.delete(answer));
      return;
    case "/agent/v1/plan":
      return json(200, state.plan);
    case "/agent/v1/report":
      state.reports.push(AgentReport.parse(body));
      return json(200, { accepted: true, wantFull: state.wantFull });
    case "/agent/v1/answer":
      state.answers.push(body);
      return json(200, {});
    case "/agent/v1/renew":
      state.renewed++;
      return json(200, { certificate: signNode(body.csr), ca: file("ca.crt") });
    default:
      return json(404, {});
  }
}

async function listen(): Promise<void> {
  const tls = {
    cert: file("server.crt"),
    key: file("server.key"),
    ca: file("ca.crt"),
    requestCert: true,
    rejectUnauthorized: false,
  };
  server = createServer({ ...tls, minVersion: "TLSv1.3" }, (request, answer) => void handle(request, answer));
  // A port that is given back may become the agent's own end of a connection: a controller that is down keeps it and hangs up.
  server.on("connection", (socket) => state.down && socket.destroy());
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
}
async function hangUp(): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeAllConnections();
  await closed;
}
const say = (generation: number) => {
  for (const stream of state.streams) stream.write(`event: plan\ndata: {"type":"plan","generation":${generation}}\n\n`);
};

let directory: string;
let kernel: FakeKernel;
let node: Node | undefined;
let link: ControllerLink | undefined;
let reporter: Reporter | undefined;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "trigon-agent-"));
  kernel = new FakeKernel();
  Object.assign(state, {
    plan: plan(1, []),
    streams: new Set(),
    reports: [],
    wantFull: false,
    refusal: null,
    streamStatus: 200,
    renewed: 0,
    asked: [],
    answers: [],
  });
  port = 0;
  await listen();
});
afterEach(async () => {
  await link?.stop();
  await reporter?.stop();
  await node?.close();
  link = reporter = node = undefined;
  await hangUp();
  rmSync(directory, { recursive: true, force: true });
});

function identity(): Identity {
  const { keyPem, csrPem } = newKeyAndRequest("node_1");
  const urls = { agentUrl: `https://localhost:${port}`, consoleUrl: `https://localhost:${port}` };
  return {
    key: keyPem,
    certificate: signNode(csrPem),
    ca: file("ca.crt"),
    enrollment: { fleetId: "fleet_1", nodeId: "node_1", name: "dir1", ...urls },
  };
}

async function connect(who: Identity = identity()): Promise<void> {
  storeIdentity(directory, who);
  const paths = {
    state: directory,
    policy: join(directory, "policy.yaml"),
    journal: join(directory, "journal.log"),
    health: join(directory, "health.json"),
    lock: "",
    socket: "",
  };
  node = await openNode({
    paths,
    log: silentLog,
    onChange: () => reporter?.changed(),
    kernel,
    times: { ...loopTimes, retryFirstMs: 5 },
  });
  const { loop } = node;
  loop.start();
  await loop.settled();
  link = new ControllerLink({
    identity: who,
    stateDirectory: directory,
    log: silentLog,
    times: { pollMs: 30, retryFirstMs: 5, retryMostMs: 50, revokedMs: 40 },
    handlers: {
      position: () => loop.position,
      onPlan: (plan) => (loop.accept(plan).verdict === "gap" ? "gap" : "done"),
      onReportNow: () => reporter?.now(),
      onProbe: () => undefined,
      onWatch: (seconds) => watched.push(seconds),
      onAsk: async (question) => ({ answer: { echo: question } }),
      onState: () => undefined,
    },
  });
  const run = { agentVersion: "1", bootId: kernel.bootId, runId: "run" };
  reporter = new Reporter({ loop, link, run, fleetId: "fleet_1", log: silentLog, gapMs: 5, heartbeatMs: 60_000 });
  link.start();
  reporter.changed();
}

const watched: number[] = [];

const fragment = (name: string) => directorService(name);
const plan = (generation: number, fragments: PlanEnvelope["fragments"]) => planEnvelope(generation, { fragments });
const reported = (id: string) =>
  state.reports.some(({ fragments }) => fragments.some((one) => one.id === id && one.state === "applied"));

test("that somebody looks is heard on the stream, and nonsense of it is not", async () => {
  await connect();
  await eventually(() => state.streams.size === 1);
  for (const stream of state.streams)
    for (const seconds of [-1, 1e9, 15]) stream.write(`event: watch\ndata: ${JSON.stringify({ type: "watch", seconds })}\n\n`);
  await eventually(() => watched.length > 0);
  expect(watched).toEqual([15]);
});

test("a question asked on the stream is answered, once, under its id", async () => {
  await connect();
  await eventually(() => state.streams.size === 1);
  const event = { type: "ask", id: "ask_1", question: { what: "time" } };
  for (const stream of state.streams) stream.write(`event: ask\ndata: ${JSON.stringify(event)}\n\n`);
  await eventually(() => state.answers.length > 0);
  expect(state.answers).toEqual([{ protocol: agentProtocol, id: "ask_1", answer: { echo: { what: "time" } } }]);
});

test("a change said on the stream is in the kernel and reported within moments", async () => {
  await connect();
  await eventually(() => state.streams.size === 1 && node!.loop.reached?.generation === 1);
  state.plan = plan(2, [fragment("v1")]);
  const began = performance.now();
  say(2);
  await eventually(() => kernel.services.size === 1);
  expect(performance.now() - began).toBeLessThan(500);
  await eventually(() => reported("ds:v1"));
  expect(state.reports[0]).toMatchObject({ full: true, facts: { hostname: "fake" }, pass: 1 });
  expect(state.reports.at(-1)).toMatchObject({ full: false, generation: 2 });
  expect(state.reports.at(-1)!.facts).toBeUndefined();
});

test("a controller that comes back finds the agent, and what changed meanwhile arrives", async () => {
  await connect();
  await eventually(() => state.streams.size === 1);
  state.down = true;
  server.closeAllConnections();
  await eventually(() => link!.state.state === "polling");
  state.plan = plan(3, [fragment("v1")]);
  state.down = false;
  await eventually(() => kernel.services.size === 1 && link!.state.state === "streaming");
});

test("without a stream the plan is polled", async () => {
  state.streamStatus = 503;
  state.plan = plan(2, [fragment("v1")]);
  await connect();
  await eventually(() => kernel.services.size === 1);
  expect(link!.state.state).toBe("polling");
});

test("a revoked node keeps its services, says so, and comes back when it is admitted again", async () => {
  state.plan = plan(2, [fragment("v1")]);
  await connect();
  await eventually(() => kernel.services.size === 1);
  state.refusal = { status: 403, code: "node.revoked" };
  for (const stream of state.streams) stream.end();
  await eventually(() => link!.state.state === "revoked");
  expect(kernel.services.size).toBe(1);
  state.refusal = null;
  await eventually(() => link!.state.state === "streaming");
});

test("a database older than this node's plan is said and removes nothing", async () => {
  state.plan = plan(2, [fragment("v1")]);
  await connect();
  await eventually(() => kernel.services.size === 1);
  state.refusal = { status: 409, code: "generation.ahead" };
  for (const stream of state.streams) stream.end();
  await eventually(() => link!.state.state === "ahead");
  expect(kernel.services.size).toBe(1);
});

test("a report that could not be delivered loses nothing", async () => {
  state.plan = plan(2, [fragment("v1")]);
  state.refusal = { status: 503, code: "service.unavailable" };
  await connect();
  await eventually(() => state.asked.filter((path) => path.endsWith("/report")).length > 1);
  state.refusal = null;
  await eventually(() => reported("ds:v1"));
  const events = state.reports.flatMap((report) => report.events.map(({ kind }) => kind));
  expect(events.filter((kind) => kind === "agent.started")).toHaveLength(1);
});

test("a controller that wants everything gets everything, facts and all", async () => {
  state.plan = plan(2, [fragment("v1")]);
  await connect();
  await eventually(() => reported("ds:v1"));
  state.wantFull = true;
  for (const stream of state.streams) stream.write('event: hint\ndata: {"type":"hint","hint":"reportNow"}\n\n');
  const before = state.reports.length;
  await eventually(() => state.reports.length > before);
  state.wantFull = false;
  await eventually(() => state.reports.slice(before).some(({ full, facts }) => full && facts !== undefined));
});

test("a certificate is renewed over the old one's connection, with a fresh key", async () => {
  const who = identity();
  await connect(who);
  await eventually(() => state.streams.size === 1);
  for (const stream of state.streams) stream.write('event: hint\ndata: {"type":"hint","hint":"renew"}\n\n');
  await eventually(() => state.renewed === 1 && readIdentity(directory)!.certificate !== who.certificate);
  expect(readIdentity(directory)!.key).not.toBe(who.key);
  state.plan = plan(2, [fragment("v1")]);
  say(2);
  await eventually(() => kernel.services.size === 1);
});

test("a server that another authority vouches for is not talked to", async () => {
  state.plan = plan(2, [fragment("v1")]);
  await connect({ ...identity(), ca: file("other.crt") });
  await eventually(() => link!.state.state === "polling");
  expect(link!.state.reason).toMatch(/certificate|verify/i);
  expect(state.asked).toEqual([]);
});

test("enrollment stores an identity once, and again keeps it without spending a token", async () => {
  const facts = await kernel.facts();
  const options = { url: `https://localhost:${port}`, ca: file("ca.crt"), stateDirectory: directory, agentVersion: "1", facts };
  await expect(enroll({ ...options, token: "used-token" })).rejects.toMatchObject({
    code: "token.used",
  } satisfies Partial<HttpError>);
  expect(readIdentity(directory)).toBeNull();
  await expect(enroll({ ...options, token: "good-token", ca: file("other.crt") })).rejects.toThrow();
  expect((await enroll({ ...options, token: "good-token" })).fresh).toBe(true);
  expect((await enroll({ ...options, token: "good-token" })).fresh).toBe(false);
  expect(state.enrolled).toHaveLength(1);
  expect(JSON.stringify(state.enrolled)).not.toContain("PRIVATE KEY");
});
