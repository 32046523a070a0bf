import { execFileSync } from "node:child_process";
import { until } from "@trigon/lab";
import type { VirtualServiceInput } from "@trigon/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createService, enroll } from "../../infra/demo/world.ts";
import { anotherController, type OtherController, sharedSecret } from "./another-controller.ts";
import { allConnected, retire, sql } from "./oracles.ts";
import { deleteAllServices, useWorld } from "./use-world.ts";

const world = useWorld();
const lifetimeSeconds = 40;
const identity = "/var/lib/trigon/identity";
const node = () => world.lab.host("rs3");
let brief: OtherController;
const undo: (() => unknown)[] = [];

/** A replica that gives certificates for 40 s, and rs3 enrolled by it. */
beforeAll(async () => {
  const env = { ...sharedSecret(world), TRIGON_NODE_CERT_SECONDS: String(lifetimeSeconds) };
  brief = await anotherController(world, { databaseUrl: world.databaseUrl, isApart: true, env });
  undo.push(() => brief.stop());
  for (const port of [brief.consolePort, brief.agentPort]) {
    const forward = await world.lab.forward(port, { port });
    undo.push(() => forward.close());
  }
  undo.push(async () => {
    await deleteAllServices(world.api);
    await retire(world.api, await nodeId());
    await world.lab.rebuildHost("rs3", { wipe: true });
    await enroll(world, "rs3", "realServer");
    await allConnected(world.api);
  });
  await retire(world.api, await nodeId());
  await world.lab.rebuildHost("rs3", { wipe: true });
  await enroll({ lab: world.lab, api: brief.api }, "rs3", "realServer");
}, 300_000);
afterAll(async () => {
  for (const one of undo.splice(0).reverse()) await one();
}, 300_000);

const nodeId = async () => (JSON.parse(await node().sh(`cat ${identity}/enrollment.json`)) as { nodeId: string }).nodeId;

/** The certificate on the node's disk, as openssl reads it. */
async function certificate(): Promise<{ serial: string; notAfter: number }> {
  const pem = await node().sh(`cat ${identity}/cert.pem`);
  const text = execFileSync("openssl", ["x509", "-noout", "-serial", "-enddate"], { input: pem, encoding: "utf8" });
  return {
    serial: /^serial=(\S+)$/m.exec(text)![1]!.toLowerCase(),
    notAfter: Date.parse(/^notAfter=(.+)$/m.exec(text)![1]!),
  };
}

/** Asks the agent port as whoever holds the key and certificate in a folder of the node. */
async function askWith(folder: string): Promise<{ status: number; code: string | undefined }> {
  const flags = `--cacert ${identity}/ca.pem --cert ${folder}/cert.pem --key ${folder}/key.pem`;
  const url = `https://controller:${brief.agentPort}/agent/v1/plan`;
  const answer = await node().sh(`curl -sS ${flags} -w '\\n%{http_code}' ${url}`);
  const at = answer.lastIndexOf("\n");
  const body = JSON.parse(answer.slice(0, at)) as { code?: string };
  return { status: Number(answer.slice(at + 1)), code: body.code };
}

test("a node renews its certificate by itself, goes on, and the one before is refused once the new one was used", async () => {
  const first = await certificate();
  expect(first.notAfter - Date.now()).toBeLessThan(lifetimeSeconds * 1_000);
  await node().sh(`mkdir -p /root/old && cp ${identity}/cert.pem ${identity}/key.pem /root/old/`);
  expect(await askWith("/root/old")).toMatchObject({ status: 200 });

  const next = await until(
    "another certificate on the disk",
    async () => {
      const now = await certificate();
      return now.serial !== first.serial ? now : undefined;
    },
    { deadlineMs: lifetimeSeconds * 1_000, everyMs: 200 },
  );
  expect(Date.now()).toBeLessThan(first.notAfter);
  expect(next.notAfter).toBeGreaterThan(first.notAfter);
  // Nobody but the agent itself has used the new one yet.
  await until("the old certificate to be refused", async () => (await askWith("/root/old")).status === 403, {
    deadlineMs: 10_000,
    everyMs: 100,
  });
  expect(await askWith("/root/old")).toEqual({ status: 403, code: "certificate.superseded" });
  expect(Date.now()).toBeLessThan(first.notAfter);

  await until("one more renewal", async () => (await certificate()).serial !== next.serial, {
    deadlineMs: lifetimeSeconds * 1_000,
    everyMs: 200,
  });
  await until("the first certificate to be over", () => Date.now() > first.notAfter, { deadlineMs: 60_000, everyMs: 200 });
  const service: VirtualServiceInput = {
    name: "renewed",
    vip: "10.2.0.140",
    port: 80,
    forwarding: "dr",
    realServers: [{ rip: "10.2.0.23" }],
  };
  await createService(world.api, service);
  expect(await node().sh("ip -4 -o addr show dev lo")).toContain("10.2.0.140/32");
  expect(await world.lab.host("dir1").sh("ipvsadm -Sn")).toContain("-a -t 10.2.0.140:80 -r 10.2.0.23:80 -g -w 1");
  const audit = await sql<{ event: string }>(
    world.databaseUrl,
    `SELECT event FROM "auditEvent" WHERE "objectId" = $1 AND event IN ('node.renewed', 'node.certificateRetired') ORDER BY at, id`,
    [await nodeId()],
  );
  expect(audit.slice(0, 4).map(({ event }) => event)).toEqual([
    "node.renewed",
    "node.certificateRetired",
    "node.renewed",
    "node.certificateRetired",
  ]);
}, 300_000);
