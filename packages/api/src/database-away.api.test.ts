import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { type EmbeddedPostgres, migrate, openDatabase, startEmbeddedPostgres } from "@trigon/db";
import { until } from "@trigon/db/testing/test-database";
import { afterAll, beforeAll, expect, test } from "vitest";
import { everyScope } from "./actor.ts";
import { type Api, createApi } from "./create-api.ts";
import { createRest } from "./rest.ts";
import { createCaller } from "./router.ts";
import { factsOf, newCsr, secretKey, TestAgent } from "./testing/fleet.ts";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "trigon-test-"));
let postgres: EmbeddedPostgres;
let api: Api;
let closeDatabase: () => Promise<void>;
let rest: ReturnType<typeof createRest>;
const woken: string[] = [];
beforeAll(async () => {
  postgres = await startEmbeddedPostgres({ dataDir: folder });
  await migrate(postgres.url);
  const db = await openDatabase(postgres.url, "fleet_away");
  closeDatabase = db.close;
  api = await createApi({
    hashPassword: async () => "not a hash",
    db,
    secretKey,
    publicUrl: "https://192.0.2.250:8443",
    agentUrl: "https://192.0.2.250:9443",
    pin: () => "sha256//test",
    controllerAddresses: () => [],
    onNodeChanged: (nodeId) => woken.push(nodeId),
  });
  rest = createRest({ db, secretKey });
}, 120_000);
afterAll(async () => {
  await api.close();
  await closeDatabase();
  await postgres.stop();
  fs.rmSync(folder, { recursive: true });
  fs.rmSync(postgres.folder, { recursive: true, force: true });
}, 120_000);

const actor = { kind: "user", name: "ada", scopes: everyScope } as const;

test("while Postgres is dead every call says service.unavailable, agents keep their plan, and all comes back by itself", async () => {
  const caller = createCaller({ services: api.services, actor, requestId: "req_1" });
  const { token } = await caller.enrollmentToken.create({ spec: { role: "director" } });
  const facts = factsOf("lb", "192.0.2.2");
  const enrolled = await api.enrollment.enroll({ protocol: 1, token, csr: await newCsr(), agentVersion: "1.0.0", facts }, null);
  const director = new TestAgent(api, enrolled, facts);
  const spec = { name: "web", vip: "192.0.2.100", port: 80, forwarding: "nat" as const, realServers: [{ rip: "192.0.2.11" }] };
  await caller.virtualService.create({ spec });
  await director.turn();

  // Without its files it cannot be started again until they are back.
  const [data, away] = [path.join(postgres.folder, "data"), path.join(postgres.folder, "data-away")];
  const pid = postgres.pid()!;
  fs.renameSync(data, away);
  process.kill(pid, "SIGKILL");
  const down = await until(() =>
    caller.virtualService.list({}).then(
      () => undefined,
      (error: Error) => error.cause,
    ),
  );
  expect(down).toMatchObject({ code: "service.unavailable" });
  const request = new Request("https://lb/api/v1/virtual-services", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...spec, name: "other", port: 81 }),
  });
  const refused = await rest(request, { services: api.services, actor, requestId: "req_2" });
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "2"]);
  expect(await api.agents.planFor(director.nodeId, { generation: director.generation!, epoch: 1 })).toMatchObject({
    generation: director.generation,
    fragments: [],
    tombstones: [],
  });

  fs.renameSync(away, data);
  const listed = await until(() => caller.virtualService.list({}).catch(() => undefined), 30_000);
  expect(listed.data.map(({ name }) => name)).toEqual(["web"]);
  await until(() => api.figures().isListening, 30_000);
  woken.length = 0;
  await caller.virtualService.create({ spec: { ...spec, name: "after", port: 82 } });
  expect(woken).toContain(director.nodeId);
}, 120_000);
