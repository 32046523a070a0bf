import { fetchAnswers } from "@trigon/lab";
import type { VirtualServiceInput, VirtualServiceView } from "@trigon/model";
import { beforeAll, expect, test } from "vitest";
import { createService } from "../../infra/demo/world.ts";
import { ipvsTable, sql } from "./oracles.ts";
import { useWorld } from "./use-world.ts";

const world = useWorld();

const good = {
  name: "bad-input-kept",
  vip: "10.2.0.110",
  port: 80,
  forwarding: "dr",
  scheduler: "rr",
  realServers: [{ rip: "10.2.0.21" }, { rip: "10.2.0.22" }],
} satisfies VirtualServiceInput;

let kept: VirtualServiceView;

beforeAll(async () => {
  kept = await createService(world.api, good);
});

interface Problem {
  code: string;
  errors?: { pointer: string; code: string; detail: string }[];
}

/** Everything that a refused write could have changed: by SQL and by `ipvsadm`. */
async function everything() {
  const [rows] = await sql(
    world.databaseUrl,
    `SELECT (SELECT sequence FROM fleet) AS sequence, (SELECT count(*) FROM "virtualService") AS services,
       (SELECT count(*) FROM "realServer") AS "realServers", (SELECT count(*) FROM vip) AS vips, (SELECT count(*) FROM gate) AS gates,
       (SELECT count(*) FROM change) AS changes, (SELECT sum(revision) FROM "virtualService") AS revisions,
       (SELECT count(*) FROM node) AS nodes, (SELECT count(*) FROM "directorGroup") AS groups,
       (SELECT count(*) FROM "enrollmentToken") AS tokens`,
  );
  return { rows, ipvs: await ipvsTable(world.lab.host("dir1")) };
}

const fresh = { ...good, name: "bad-input-new", vip: "10.2.0.111" };
const refusedServices: [title: string, body: unknown, status: number, pointer: string, code: string][] = [
  ["a VIP that is not an address", { ...fresh, vip: "10.2.0.300" }, 422, "/vip", "address.invalid"],
  ["a VIP with its prefix", { ...fresh, vip: "10.2.0.111/32" }, 422, "/vip", "address.invalid"],
  ["a VIP that is a node's address", { ...fresh, vip: "10.2.0.23" }, 422, "/vip", "vip.isNodeAddress"],
  ["a VIP that is a director's address", { ...fresh, vip: "10.4.0.12" }, 422, "/vip", "vip.isNodeAddress"],
  ["a VIP that is a gateway's address", { ...fresh, vip: "10.2.0.1" }, 422, "/vip", "vip.isGateway"],
  ["a VIP of the loopback", { ...fresh, vip: "127.0.0.5" }, 422, "/vip", "vip.unusable"],
  ["a VIP that is a broadcast address", { ...fresh, vip: "10.2.0.255" }, 422, "/vip", "vip.unusable"],
  [
    "a DR real server on another port",
    { ...fresh, realServers: [{ rip: "10.2.0.21" }, { rip: "10.2.0.22", port: 8080 }] },
    422,
    "/realServers/1/port",
    "realServer.portMismatch",
  ],
  [
    "a DR real server behind a router",
    { ...fresh, realServers: [{ rip: "10.3.0.24" }] },
    422,
    "/realServers/0/rip",
    "realServer.offLink",
  ],
  [
    "a real server that is the VIP",
    { ...fresh, realServers: [{ rip: fresh.vip }] },
    422,
    "/realServers/0/rip",
    "realServer.isVip",
  ],
  ["the same VIP and port twice", { ...fresh, vip: good.vip }, 422, "/port", "service.duplicate"],
  ["a name that is taken", { ...fresh, name: good.name }, 422, "/name", "name.taken"],
  ["a missing VIP", { ...fresh, vip: undefined }, 422, "/vip", "field.required"],
  ["a port out of range", { ...fresh, port: 65536 }, 422, "/port", "field.range"],
  ["a forwarding that is none", { ...fresh, forwarding: "teleport" }, 422, "/forwarding", "field.choice"],
  ["a field that is none", { ...fresh, wieght: 3 }, 422, "/wieght", "field.unknown"],
  ["real servers that are no list", { ...fresh, realServers: "10.2.0.21" }, 422, "/realServers", "field.type"],
  ["a body that is a list", [fresh], 400, "", "field.type"],
];

test.each(refusedServices)("%s is refused and changes nothing", async (_title, body, status, pointer, code) => {
  const before = await everything();
  for (const [method, path] of [
    ["POST", "/api/v1/virtual-services"],
    ["PUT", "/api/v1/virtual-services/by-name/bad-input-new"],
  ] as const) {
    if (method === "PUT" && code === "name.taken") continue; // the path's name counts there
    const answer = await world.api.send<Problem>(method, path, body, method === "PUT" ? { "if-none-match": "*" } : {});
    expect(answer.headers["content-type"]).toMatch(/^application\/problem\+json/);
    expect(answer).toMatchObject({ status, body: { status } });
    expect(answer.body.errors).toContainEqual(expect.objectContaining({ pointer, code, detail: expect.stringMatching(/\S/) }));
  }
  expect(await everything()).toEqual(before);
});

test("a VIP that is an address of the controller is refused", async () => {
  const before = await everything();
  const answer = await world.api.send<Problem>("POST", "/api/v1/virtual-services", { ...fresh, vip: world.lab.gateway });
  expect(answer.status).toBe(422);
  expect(answer.body.errors).toContainEqual(expect.objectContaining({ pointer: "/vip", code: "vip.isController" }));
  expect(await everything()).toEqual(before);
});

test("a body that is not JSON is refused and changes nothing", async () => {
  const before = await everything();
  const answer = await world.api.send<Problem>("POST", "/api/v1/virtual-services", good, { "content-type": "text/plain" });
  expect(answer).toMatchObject({ status: 415, body: { code: "media.unsupported" } });
  expect(await everything()).toEqual(before);
});

test("a write over a revision that is not the newest is refused, and so is one that names none", async () => {
  const path = `/api/v1/virtual-services/${kept.id}`;
  const { id, revision, createdAt, updatedAt, status, ...spec } = await world.api.call<VirtualServiceView>(
    "GET",
    `/virtual-services/${kept.id}`,
  );
  const before = await everything();
  const body = { ...spec, scheduler: "wlc" };
  for (const [headers, wanted, code] of [
    [{ "if-match": `"${revision + 1}"` }, 412, "revision.stale"],
    [{ "if-match": `"${revision - 1}"` }, 412, "revision.stale"],
    [{ "if-match": "nonsense" }, 412, "revision.stale"],
    [{}, 428, "revision.required"],
  ] as [Record<string, string>, number, string][]) {
    for (const method of ["PUT", "PATCH", "DELETE"]) {
      const sent = method === "DELETE" ? undefined : method === "PATCH" ? { scheduler: "wlc" } : body;
      expect(await world.api.send<Problem>(method, path, sent, headers)).toMatchObject({ status: wanted, body: { code } });
    }
  }
  expect(await everything()).toEqual(before);
  expect(status.sync.state).toBe("inSync");
});

test("without a token, and with a wrong one, nothing is told", async () => {
  const before = await everything();
  for (const authorization of ["", "Bearer trg_pat_wrong", "Basic YWRtaW46YWRtaW4="]) {
    for (const method of ["GET", "POST"]) {
      const answer = await world.api.send<Problem>(method, "/api/v1/virtual-services", method === "POST" ? fresh : undefined, {
        authorization,
      });
      expect(answer).toMatchObject({ status: 401, body: { code: expect.stringMatching(/^(auth\.required|token\.invalid)$/) } });
    }
  }
  expect(await everything()).toEqual(before);
});

test("the service that was there all the time still answers", async () => {
  const answers = await fetchAnswers(world.lab.host("client"), `${good.vip}:80`, { count: 4 });
  expect(new Set(answers.map(({ server }) => server))).toEqual(new Set(["rs1", "rs2"]));
});
