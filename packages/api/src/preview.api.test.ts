import { until } from "@trigon/db/testing/test-database";
import type { ChangePreview } from "@trigon/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { everyScope } from "./actor.ts";
import { createRest } from "./rest.ts";
import { createTestFleet, secretKey, specOf, type TestAgent, type TestFleet } from "./testing/fleet.ts";

let fleet: TestFleet;
let director: TestAgent;
let server: TestAgent;
beforeAll(async () => {
  fleet = await createTestFleet();
  ({ director, server } = await fleet.enrollPair());
});
afterAll(() => fleet.close());

const commandsOf = ({ nodes }: ChangePreview, name: string) =>
  nodes.find(({ nodeName }) => nodeName === name)?.steps.flatMap(({ commands }) => commands) ?? [];
const ipvsadm = (preview: ChangePreview) => commandsOf(preview, "lb-1").filter((line) => line.startsWith("ipvsadm"));

/** Everything a write leaves behind, as SQL sees it. */
const books = () =>
  fleet.database.sql(`SELECT (SELECT sequence FROM fleet) AS sequence, (SELECT count(*) FROM "virtualService") AS services,
    (SELECT count(*) FROM "realServer") AS servers, (SELECT count(*) FROM gate) AS gates, (SELECT count(*) FROM vip) AS vips,
    (SELECT count(*) FROM change) AS changes, (SELECT count(*) FROM "auditEvent") AS events`);

/** Real server ready, gate open, director done. */
async function settle(): Promise<void> {
  await director.turn();
  await server.turn();
  await until(async () => {
    await director.turn();
    await server.turn();
    const waiting = await fleet.database.sql(`SELECT 1 FROM gate WHERE state <> 'open' OR releasing::text <> '[]'`);
    return waiting.length === 0;
  });
}

test("a new service: each node's lines up to the end of admission, and nothing is written", async () => {
  const before = await books();
  const preview = await fleet.caller.virtualService.preview({ action: "create", spec: specOf() });
  expect(await books()).toEqual(before);
  expect(preview).toMatchObject({ dryRun: true, changesAnything: true, before: null, after: { name: "web" }, connections: null });
  expect(ipvsadm(preview)).toEqual([
    "ipvsadm -A -f 21586 -s rr", // what path probes go through
    "ipvsadm -A -t 192.0.2.100:80 -s wlc",
    "ipvsadm -a -t 192.0.2.100:80 -r 192.0.2.11:80 -g -w 1",
  ]);
  expect(commandsOf(preview, "lb-1")).toContain("ip addr add 192.0.2.100/32 dev eth0");
  expect(commandsOf(preview, "rs-1")).toEqual(
    expect.arrayContaining(["sysctl -w net.ipv4.conf.all.arp_ignore=1", "ip addr add 192.0.2.100/32 dev lo"]),
  );
  // The address comes last on both ends, as the agents do it.
  expect(commandsOf(preview, "rs-1").at(-1)).toBe("ip addr add 192.0.2.100/32 dev lo");
  expect(preview.nodes[0]!.steps.map(({ sentence }) => sentence)).toContain(
    "Put 192.0.2.11:80 into 192.0.2.100:80/tcp (-g -w 1).",
  );
});

test("an edit shows only what it changes, on the nodes it concerns", async () => {
  const { id, revision, realServers } = await fleet.caller.virtualService.create({ spec: specOf() });
  await settle();
  const before = await books();
  const other = {
    rip: "192.0.2.12",
    weight: 1,
    port: null,
    forwarding: null,
    upperThreshold: 0,
    lowerThreshold: 0,
    nodeId: null,
  };
  const edit = { realServers: [{ ...realServers[0]!, weight: 5 }, other] };
  const preview = await fleet.caller.virtualService.preview({ action: "patch", id, revision, spec: edit });
  expect(preview.nodes.map(({ nodeName }) => nodeName)).toEqual(["lb-1"]);
  expect(commandsOf(preview, "lb-1").toSorted()).toEqual([
    "ipvsadm -a -t 192.0.2.100:80 -r 192.0.2.12:80 -g -w 1",
    "ipvsadm -e -t 192.0.2.100:80 -r 192.0.2.11:80 -g -w 5",
  ]);
  const same = await fleet.caller.virtualService.preview({ action: "patch", id, revision, spec: { scheduler: "wlc" } });
  expect(same).toMatchObject({ changesAnything: false, nodes: [] });
  const moved = await fleet.caller.virtualService.preview({ action: "patch", id, revision, spec: { scheduler: "rr" } });
  expect(ipvsadm(moved)).toEqual(["ipvsadm -E -t 192.0.2.100:80 -s rr"]);
  expect(await books()).toEqual(before);
});

test("a deletion shows what goes, and the connections that it takes along", async () => {
  const { data } = await fleet.caller.virtualService.list({});
  const { id, revision, realServers } = data[0]!;
  const zero = { connections: 9, inPackets: 0, outPackets: 0, inBytes: 0, outBytes: 0 };
  const destination = { realServerId: realServers[0]!.id!, active: 7, inactive: 2, persistent: 0, weight: 1, counters: zero };
  await fleet.api.agents.counters(director.nodeId, {
    protocol: 1,
    bootId: director.facts.bootId,
    runId: director.runId,
    at: new Date().toISOString(),
    services: [{ serviceId: id, counters: zero, destinations: [destination] }],
    replies: [],
  });
  const preview = await fleet.caller.virtualService.preview({ action: "delete", id, revision });
  expect(ipvsadm(preview).toSorted()).toEqual(["ipvsadm -D -f 21586", "ipvsadm -D -t 192.0.2.100:80"]);
  expect(commandsOf(preview, "lb-1")).toContain("ip addr del 192.0.2.100/32 dev eth0");
  expect(commandsOf(preview, "rs-1")).toContain("ip addr del 192.0.2.100/32 dev lo");
  expect(preview.connections).toEqual({ active: 7, inactive: 2 });
  const quiesced = await fleet.caller.virtualService.preview({
    action: "patch",
    id,
    revision,
    spec: { realServers: [{ ...realServers[0]!, weight: 0 }] },
  });
  expect(quiesced.connections).toEqual({ active: 7, inactive: 2 });
});

test("what somebody else's hand left in the way, and what the kernel lost, is counted in", async () => {
  const { data } = await fleet.caller.virtualService.list({});
  const { id, revision } = data[0]!;
  const key = "ipvsService tcp 192.0.2.100 8080";
  const foreign = { key, desired: null, observed: "-A -t 192.0.2.100:8080 -s rr", state: "foreign" } as const;
  await director.report({ table: { rows: [foreign], total: 1 } });
  const preview = await fleet.caller.virtualService.preview({ action: "create", spec: specOf({ name: "other", port: 8080 }) });
  expect(preview.nodes[0]!.problems).toMatchObject([{ code: "foreign" }]);
  const lost = "ipvsDestination tcp 192.0.2.100 80 > 192.0.2.11 80";
  const missing = { key: lost, desired: "-a", observed: null, state: "missing" } as const;
  await director.report({ table: { rows: [missing], total: 1 } });
  const repaired = await fleet.caller.virtualService.preview({ action: "patch", id, revision, spec: { scheduler: "rr" } });
  expect(ipvsadm(repaired)).toContain("ipvsadm -a -t 192.0.2.100:80 -r 192.0.2.11:80 -g -w 1");
});

test("a real server that checks keep out stays at weight 0, whatever weight it is given", async () => {
  const { data } = await fleet.caller.virtualService.list({});
  const { id, revision, realServers } = data[0]!;
  const down = {
    verdict: "down",
    isOut: true,
    reason: "refused",
    message: null,
    latencyMs: null,
    since: new Date().toISOString(),
  };
  const health = (mode: "normal" | "failOpen") => [
    {
      fragmentId: `ds:${id}`,
      mode,
      realServers: [{ realServerId: realServers[0]!.id!, ...down, isOut: mode === "normal" } as const],
    },
  ];
  const edit = { realServers: [{ ...realServers[0]!, weight: 9, upperThreshold: 50 }] };
  await director.report({ table: { rows: [], total: 0 }, health: health("normal") as never });
  const kept = await fleet.caller.virtualService.preview({ action: "patch", id, revision, spec: edit });
  expect(ipvsadm(kept)).toEqual(["ipvsadm -e -t 192.0.2.100:80 -r 192.0.2.11:80 -g -w 0 -x 50"]);
  await director.report({ health: health("failOpen") as never });
  const open = await fleet.caller.virtualService.preview({ action: "patch", id, revision, spec: edit });
  expect(ipvsadm(open)).toEqual(["ipvsadm -e -t 192.0.2.100:80 -r 192.0.2.11:80 -g -w 9 -x 50"]);
});

test("the first full NAT service of a director shows what it does to its DR services", async () => {
  const preview = await fleet.caller.virtualService.preview({
    action: "create",
    spec: specOf({ name: "full", vip: "192.0.2.101", forwarding: "fullnat" }),
  });
  expect(commandsOf(preview, "lb-1")).toEqual(
    expect.arrayContaining([
      "sysctl -w net.ipv4.vs.conntrack=1",
      expect.stringMatching(/^iptables -t raw -A TRIGON-PREROUTING -d 192\.0\.2\.100\/32 -p tcp .*-j CT --notrack$/),
    ]),
  );
});

test("REST: dryRun on every write answers 200 and writes nothing; what would be refused is refused", async () => {
  const rest = createRest({ db: fleet.db, secretKey });
  const actor = { kind: "user", name: "ada", scopes: everyScope } as const;
  const ask = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const request = new Request(`https://192.0.2.250:8443/api/v1${path}`, {
      method,
      headers: { "content-type": "application/json", ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const response = await rest(request, { services: fleet.api.services, actor, requestId: "req_1" });
    return { status: response.status, body: (await response.json().catch(() => null)) as ChangePreview & { code?: string } };
  };
  const { data } = await fleet.caller.virtualService.list({});
  const { id, revision } = data[0]!;
  const match = { "if-match": `"${revision}"` };
  const before = await books();
  const created = await ask("POST", "/virtual-services?dryRun=true", specOf({ name: "n", port: 81 }), { "idempotency-key": "k" });
  expect(created).toMatchObject({ status: 200, body: { dryRun: true, changesAnything: true } });
  expect(ipvsadm(created.body)[0]).toBe("ipvsadm -A -t 192.0.2.100:81 -s wlc");
  const named = await ask("PUT", "/virtual-services/by-name/web?dryRun=true", {
    ...specOf({ scheduler: "rr" }),
    name: undefined,
  });
  expect(ipvsadm(named.body)).toContain("ipvsadm -E -t 192.0.2.100:80 -s rr");
  const put = await ask("PUT", `/virtual-services/${id}?dryRun=true`, specOf({ scheduler: "lc" }), match);
  expect(ipvsadm(put.body)).toContain("ipvsadm -E -t 192.0.2.100:80 -s lc");
  expect(await ask("PATCH", `/virtual-services/${id}?dryRun=true`, { enabled: false }, match)).toMatchObject({ status: 200 });
  expect(await ask("DELETE", `/virtual-services/${id}?dryRun=true`, undefined, match)).toMatchObject({ status: 200 });
  expect(await ask("DELETE", `/virtual-services/${id}?dryRun=true`, undefined, { "if-match": '"999"' })).toMatchObject({
    status: 412,
  });
  expect(await ask("POST", "/virtual-services?dryRun=true", specOf({ vip: "127.0.0.1" }))).toMatchObject({ status: 422 });
  expect(await ask("POST", "/virtual-services?dryRun=perhaps", specOf({ name: "n" }))).toMatchObject({ status: 422 });
  expect(await ask("POST", "/director-groups?dryRun=true", { name: "g" })).toMatchObject({ status: 200 });
  expect(await ask("POST", "/enrollment-tokens?dryRun=true", { role: "director" })).toMatchObject({ status: 422 });
  expect(await books()).toEqual(before);
});

test("REST: a check by POST takes a spec of any length, names every wrong field, and writes nothing", async () => {
  const rest = createRest({ db: fleet.db, secretKey });
  const check = async (body: unknown) => {
    const request = new Request("https://lb.example/api/v1/virtual-services/validate", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const actor = { kind: "token", name: "ci", scopes: ["read"] } as const;
    const answer = await rest(request, { services: fleet.api.services, actor, requestId: "req_1" });
    return { status: answer.status, body: await answer.json() };
  };
  const before = await books();
  const long = specOf({
    name: "long",
    port: 90,
    forwarding: "fullnat",
    realServers: Array.from({ length: 200 }, (_, at) => ({ rip: `192.0.2.${at + 20}`, port: 8080 })).filter(
      ({ rip }) => rip !== "192.0.2.100",
    ),
  });
  expect(JSON.stringify(long).length).toBeGreaterThan(4000);
  expect(await check(long)).toMatchObject({ status: 200, body: { errors: [], lint: [{ code: "fullnat.besideDirect" }] } });
  const wrong = await check({ ...specOf({ name: "n" }), vip: "nonsense", port: 99999 });
  expect(wrong.status).toBe(200);
  expect((wrong.body as { errors: { pointer: string }[] }).errors.map(({ pointer }) => pointer).sort()).toEqual([
    "/port",
    "/vip",
  ]);
  expect(await books()).toEqual(before);
});
