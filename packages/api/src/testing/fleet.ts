import { randomBytes, webcrypto, X509Certificate } from "node:crypto";
import { type Database, openDatabase } from "@trigon/db";
import { createTestDatabase, type TestDatabase } from "@trigon/db/testing/test-database";
import type { AgentReport, EnrollAnswer, Facts, FragmentState, NodeRole, PlanEnvelope, VirtualServiceInput } from "@trigon/model";
import { everyScope } from "../actor.ts";
import { type Api, createApi } from "../create-api.ts";
import { newId } from "../new-id.ts";
import { createCaller } from "../router.ts";
import { x509 } from "../x509.ts";

export const requestId = "req_test";

/** An API on a database of its own, with raw SQL as a witness. */
export interface TestFleet {
  database: TestDatabase;
  db: Database;
  api: Api;
  caller: ReturnType<typeof createCaller>;
  /** Milliseconds added to the clock. */
  clock: { aheadMs: number };
  /** Nodes that were told of a new plan, with its generation. */
  woken: { nodeId: string; generation: number }[];
  /** For how many seconds this replica's nodes were told that somebody looks. */
  watched: number[];
  /** What nodes were asked by way of this replica. */
  asked: { nodeId: string; id: string; question: unknown }[];
  /** A second replica on the same database. */
  replica(): Promise<TestFleet>;
  enroll(role: NodeRole, facts: Facts): Promise<TestAgent>;
  /** The director lb-1 at 192.0.2.2 and the real server rs-1 at 192.0.2.11. */
  enrollPair(): Promise<{ director: TestAgent; server: TestAgent }>;
  close(): Promise<void>;
}

export const secretKey = randomBytes(32);

export async function createTestFleet(): Promise<TestFleet> {
  const database = await createTestDatabase();
  const main = await replicaOn(database);
  return { ...main, close: () => main.close().then(() => database.drop()) };
}

async function replicaOn(database: TestDatabase): Promise<TestFleet> {
  const db = await openDatabase(database.url, newId("fleet"));
  const clock = { aheadMs: 0 };
  const woken: TestFleet["woken"] = [];
  const asked: TestFleet["asked"] = [];
  const watched: TestFleet["watched"] = [];
  const api = await createApi({
    hashPassword: async () => "not a hash",
    db,
    secretKey,
    publicUrl: "https://192.0.2.250:8443",
    agentUrl: "https://192.0.2.250:9443",
    pin: () => "sha256//test",
    controllerAddresses: () => ["192.0.2.250"],
    now: () => Date.now() + clock.aheadMs,
    onNodeChanged: (nodeId, generation) => woken.push({ nodeId, generation }),
    onWatch: (seconds) => watched.push(seconds),
    onAsk: (nodeId, id, question) => asked.push({ nodeId, id, question }),
  });
  const actor = { kind: "user", name: "ada", scopes: everyScope } as const;
  const caller = createCaller({ services: api.services, actor, requestId });
  const enroll: TestFleet["enroll"] = async (role, facts) => {
    const { token } = await caller.enrollmentToken.create({ spec: { role } });
    const request = { protocol: 1, token, csr: await newCsr(), agentVersion: "1.0.0", facts };
    return new TestAgent(api, await api.enrollment.enroll(request, "192.0.2.99"), facts);
  };
  return {
    database,
    db,
    api,
    caller,
    clock,
    woken,
    watched,
    asked,
    replica: () => replicaOn(database),
    enroll,
    enrollPair: async () => ({
      director: await enroll("director", factsOf("lb-1", "192.0.2.2")),
      server: await enroll("realServer", factsOf("rs-1", "192.0.2.11")),
    }),
    close: async () => {
      await api.close();
      await db.close();
    },
  };
}

/** A certificate request with a fresh key, as an agent makes it. */
export async function newCsr(curve: "P-256" | "P-384" = "P-256"): Promise<string> {
  const algorithm = { name: "ECDSA", namedCurve: curve, hash: "SHA-256" };
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as webcrypto.CryptoKeyPair;
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({ name: "CN=forged", keys, signingAlgorithm: algorithm });
  return csr.toString("pem");
}

/** A certificate's serial as it names a peer: lower-case hex without leading zeros. */
export const serialOf = (certificate: string) =>
  new X509Certificate(certificate).serialNumber.toLowerCase().replace(/^0+(?=.)/, "");

/** A service on 192.0.2.100:80 with the real server of `enrollPair`, by DR unless told otherwise. */
export const specOf = (more: Partial<VirtualServiceInput> = {}): VirtualServiceInput => ({
  name: "web",
  vip: "192.0.2.100",
  port: 80,
  forwarding: "dr",
  realServers: [{ rip: "192.0.2.11" }],
  ...more,
});

/** A machine's facts: one interface with one address, and a default route. */
export function factsOf(hostname: string, address: string, gateway = "192.0.2.1"): Facts {
  return {
    hostname,
    machineId: `machine-${hostname}`,
    bootId: `boot-${hostname}`,
    kernel: "6.1.0",
    architecture: "x86_64",
    interfaces: [
      { name: "lo", mac: null, mtu: 65536, up: true, addresses: [{ address: "127.0.0.1", prefix: 8 }] },
      { name: "eth0", mac: "02:00:00:00:00:01", mtu: 1500, up: true, addresses: [{ address, prefix: 24 }] },
    ],
    routes: [
      { family: 4, destination: null, prefix: 0, gateway, interface: "eth0", metric: 0 },
      { family: 4, destination: address.replace(/\d+$/, "0"), prefix: 24, gateway: null, interface: "eth0", metric: 0 },
    ],
    resolvers: ["192.0.2.53"],
    iptables: "nft",
  };
}

/** Keeps a plan as an agent does, and reports it as applied without doing anything. */
export class TestAgent {
  readonly fragments = new Map<string, { id: string; hash: string; kind: string }>();
  generation: number | null = null;
  epoch = 1;
  pass = 0;
  runId = "run-1";
  lastPlan: PlanEnvelope | undefined;

  constructor(
    public api: Api,
    readonly enrolled: EnrollAnswer,
    public facts: Facts,
  ) {}

  get nodeId(): string {
    return this.enrolled.nodeId;
  }

  /** Of the certificate that enrollment gave. */
  get serial(): string {
    return serialOf(this.enrolled.certificate);
  }

  async fetch(): Promise<PlanEnvelope> {
    const since = this.generation === null ? null : { generation: this.generation, epoch: this.epoch };
    const plan = await this.api.agents.planFor(this.nodeId, since);
    this.lastPlan = plan;
    if (plan.observeOnly) return plan;
    if (plan.since === null) this.fragments.clear();
    for (const fragment of plan.fragments) this.fragments.set(fragment.id, fragment);
    for (const id of plan.tombstones) this.fragments.delete(id);
    this.generation = plan.generation;
    this.epoch = plan.epoch;
    return plan;
  }

  composed(more: Partial<AgentReport> = {}): AgentReport {
    const fragments = [...this.fragments.values()].map(
      ({ id, hash }): FragmentState => ({ id, hash, state: "applied", reason: null, message: null }),
    );
    return {
      protocol: 1,
      agentVersion: "1.0.0",
      fleetId: this.enrolled.fleetId,
      epoch: this.epoch,
      generation: this.generation ?? 0,
      bootId: this.facts.bootId,
      runId: this.runId,
      pass: ++this.pass,
      at: new Date().toISOString(),
      facts: this.facts,
      full: true,
      fragments,
      gone: [],
      events: [],
      ...more,
    };
  }

  report(more: Partial<AgentReport> = {}) {
    return this.api.agents.report(this.nodeId, this.composed(more));
  }

  /** One turn of an agent: take the plan, say that it is applied. */
  async turn() {
    await this.fetch();
    return this.report();
  }
}
