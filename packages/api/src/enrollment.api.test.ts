import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { until } from "@trigon/db/testing/test-database";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openCertificates, publicKeyPin } from "./certificates.ts";
import { createTestFleet, factsOf, newCsr, secretKey, serialOf, type TestFleet } from "./testing/fleet.ts";

let fleet: TestFleet;
beforeAll(async () => {
  fleet = await createTestFleet();
});
afterAll(() => fleet.close());

const request = async (token: string, hostname = "m-1", csr?: string) => ({
  protocol: 1,
  token,
  csr: csr ?? (await newCsr()),
  agentVersion: "1.0.0",
  facts: factsOf(hostname, "192.0.2.31"),
});
const newToken = () => fleet.caller.enrollmentToken.create({ spec: { role: "realServer" } });
const nodes = () => fleet.database.sql<{ count: string }>("SELECT count(*) FROM node").then(([row]) => Number(row?.count));

function refused(promise: Promise<unknown>, code: string) {
  return expect(promise).rejects.toMatchObject({ code });
}

test("a token becomes a certificate that openssl verifies, for this node and as a client only", async () => {
  const { token, commands } = await newToken();
  expect(commands.curl).toMatch(
    /^curl -fsSk --proto '=https' --pinnedpubkey 'sha256\/\/test' 'https:\/\/192\.0\.2\.250:8443\/enroll\/install\.sh\?t=tok_\w+' \| sudo sh -s -- --token trg1\.\S+$/,
  );
  const answer = await fleet.api.enrollment.enroll(await request(token), "192.0.2.31");
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "trigon-ca-"));
  fs.writeFileSync(path.join(folder, "ca.pem"), answer.ca);
  fs.writeFileSync(path.join(folder, "node.pem"), answer.certificate);
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: folder, encoding: "utf8" });
  expect(openssl("verify", "-purpose", "sslclient", "-CAfile", "ca.pem", "node.pem")).toContain("OK");
  expect(() => openssl("verify", "-purpose", "sslserver", "-CAfile", "ca.pem", "node.pem")).toThrow();
  const text = openssl("x509", "-in", "node.pem", "-noout", "-text");
  expect(text).toContain(`URI:trigon://node/${answer.nodeId}`);
  expect(text).not.toContain("forged");
  fs.rmSync(folder, { recursive: true });
  expect(await fleet.database.sql("SELECT state, role FROM node WHERE id = $1", [answer.nodeId])).toEqual([
    { state: "active", role: "realServer" },
  ]);
});

test("no secret is in the database in the clear", async () => {
  const { token } = await newToken();
  const { secret } = JSON.parse(Buffer.from(token.slice(5), "base64url").toString("utf8"));
  const rows = await fleet.database.sql<{ all: string }>(
    `SELECT (SELECT string_agg(t::text, ' ') FROM "enrollmentToken" t) || (SELECT string_agg(s::text, ' ') FROM secret s) AS all`,
  );
  expect(rows[0]?.all).not.toContain(secret);
  expect(rows[0]?.all).not.toContain(Buffer.from("PRIVATE KEY").toString("hex"));
});

test("a used, an expired, a revoked and an unknown token are each refused with their own code, audited, and make no node", async () => {
  const used = await newToken();
  await fleet.api.enrollment.enroll(await request(used.token), null);
  const before = await nodes();
  await refused(fleet.api.enrollment.enroll(await request(used.token), null), "token.used");
  const revoked = await newToken();
  await fleet.caller.enrollmentToken.revoke({ id: revoked.id });
  await refused(fleet.api.enrollment.enroll(await request(revoked.token), null), "token.revoked");
  const expired = await newToken();
  fleet.clock.aheadMs = 3_601_000;
  await refused(fleet.api.enrollment.enroll(await request(expired.token), null), "token.expired");
  await refused(fleet.api.enrollment.progress({ token: expired.token, stage: "preflight", message: "" }, null), "token.expired");
  fleet.clock.aheadMs = 0;
  await refused(fleet.api.enrollment.enroll(await request("trg1.bm90aGluZw"), null), "token.invalid");
  const other = Buffer.from(JSON.stringify({ id: expired.id, secret: "guess" })).toString("base64url");
  await refused(fleet.api.enrollment.enroll(await request(`trg1.${other}`), null), "token.invalid");
  expect(await nodes()).toBe(before);
  const audits = await fleet.database.sql<{ code: string }>(
    `SELECT detail->>'code' AS code FROM "auditEvent" WHERE event = 'enrollmentToken.refused' ORDER BY at`,
  );
  expect(audits.map(({ code }) => code)).toEqual([
    "token.used",
    "token.revoked",
    "token.expired",
    "token.expired",
    "token.invalid",
  ]);
});

test("one token used twice at the same moment makes one node", async () => {
  const { token } = await newToken();
  const before = await nodes();
  const requests = [await request(token), await request(token), await request(token)];
  const results = await Promise.allSettled(requests.map((one) => fleet.api.enrollment.enroll(one, null)));
  expect(results.filter(({ status }) => status === "fulfilled").length).toBe(1);
  expect(await nodes()).toBe(before + 1);
});

test("a certificate request that is none, of another curve, or not signed by its key is refused and spends no token", async () => {
  const { id, token } = await newToken();
  const forged = (await newCsr()).split("\n");
  forged[3] = [...forged[3]!].reverse().join("");
  for (const csr of ["nonsense", await newCsr("P-384"), forged.join("\n")]) {
    await refused(fleet.api.enrollment.enroll(await request(token, "m-2", csr), null), "csr.invalid");
  }
  expect(await fleet.database.sql(`SELECT "usedAt" FROM "enrollmentToken" WHERE id = $1`, [id])).toEqual([{ usedAt: null }]);
});

test("the waiting row shows each step: created, script fetched, preflight failed, enrolled, connected, in sync", async () => {
  const { id, token, stage } = await newToken();
  const now = async () => (await fleet.caller.enrollmentToken.list({})).data.find((row) => row.id === id);
  expect(stage).toBe("created");
  await fleet.api.enrollment.scriptFetched(id, "192.0.2.40");
  expect(await now()).toMatchObject({ stage: "scriptFetched", lastContact: { address: "192.0.2.40" } });
  const step = { token, stage: "preflightFailed" as const, message: "ip_vs is missing" };
  expect(await fleet.api.enrollment.progress(step, "192.0.2.40")).toEqual({ role: "realServer", name: null });
  expect(await now()).toMatchObject({ stage: "preflightFailed", lastContact: { message: "ip_vs is missing" } });
  const { nodeId } = await fleet.api.enrollment.enroll(await request(token, "m-3"), "192.0.2.40");
  expect(await now()).toMatchObject({ stage: "enrolled", nodeId });
  fleet.api.agents.connected(nodeId, true);
  expect(await now()).toMatchObject({ stage: "connected" });
});

test("the first director of a group becomes its active member; the second does not", async () => {
  const first = await fleet.enroll("director", factsOf("lb-1", "192.0.2.2"));
  await fleet.enroll("director", factsOf("lb-2", "192.0.2.3"));
  const groups = await fleet.database.sql(`SELECT name, "activeNodeId" FROM "directorGroup"`);
  expect(groups).toEqual([{ name: "default", activeNodeId: first.nodeId }]);
});

test("a listener's key stays the same across renewals and replicas; another key file does not open it", async () => {
  const first = await fleet.api.certificates.server("front", ["192.0.2.250", "lb.example"]);
  const other = await fleet.replica();
  const second = await other.api.certificates.server("front", ["192.0.2.250"]);
  await other.close();
  expect(publicKeyPin(second.certificate)).toBe(publicKeyPin(first.certificate));
  expect(new X509Certificate(first.certificate).subjectAltName).toBe("IP Address:192.0.2.250, DNS:lb.example");
  await expect(openCertificates(fleet.db, Buffer.alloc(secretKey.length))).rejects.toThrow("key file");
});

const certificateRow = async (nodeId: string) =>
  (await fleet.database.sql(`SELECT "certSerial", "certAccepted" FROM node WHERE id = $1`, [nodeId]))[0];

test("a revoked node is refused", async () => {
  const agent = await fleet.enroll("realServer", factsOf("rs-9", "192.0.2.19"));
  const peer = { nodeId: agent.nodeId, serial: agent.serial };
  await fleet.api.agents.admit(peer);
  const { revision } = await fleet.caller.node.get({ id: agent.nodeId });
  await fleet.caller.node.revoke({ id: agent.nodeId, revision });
  await refused(fleet.api.agents.admit(peer), "node.revoked");
});

test("a renewed certificate revokes the one before as soon as it is used, and not sooner", async () => {
  const agent = await fleet.enroll("realServer", factsOf("rs-10", "192.0.2.20"));
  const other = await fleet.replica();
  const old = { nodeId: agent.nodeId, serial: agent.serial };
  expect(await certificateRow(agent.nodeId)).toEqual({ certSerial: old.serial, certAccepted: [old.serial] });
  // The first answer is lost on its way: the node asks again with what it has.
  const lost = { ...old, serial: serialOf((await fleet.api.agents.renew(old, await newCsr())).certificate) };
  await fleet.api.agents.admit(old);
  const renewed = { ...old, serial: serialOf((await fleet.api.agents.renew(old, await newCsr())).certificate) };
  expect(await certificateRow(agent.nodeId)).toEqual({
    certSerial: renewed.serial,
    certAccepted: [old.serial, renewed.serial],
  });
  await fleet.api.agents.admit(old);
  await refused(fleet.api.agents.admit(lost), "certificate.superseded");

  await other.api.agents.admit(renewed); // a replica that was not asked for it
  await until(async () => `${(await certificateRow(agent.nodeId))?.certAccepted}` === renewed.serial);
  for (const { api } of [fleet, other]) {
    await until(() => !api.agents.mayStay(old));
    await refused(api.agents.admit(old), "certificate.superseded");
    await api.agents.admit(renewed);
  }
  await other.close();
});

test("a node from before serials were kept is known by any certificate, until it renews", async () => {
  const agent = await fleet.enroll("realServer", factsOf("rs-11", "192.0.2.21"));
  await fleet.database.sql(`UPDATE node SET "certAccepted" = '{}' WHERE id = $1`, [agent.nodeId]);
  const other = await fleet.replica();
  const old = { nodeId: agent.nodeId, serial: "abc" };
  await other.api.agents.admit(old);
  const renewed = { ...old, serial: serialOf((await other.api.agents.renew(old, await newCsr())).certificate) };
  await other.api.agents.admit(renewed);
  await until(() => !other.api.agents.mayStay(old));
  await refused(other.api.agents.admit({ ...old, serial: agent.serial }), "certificate.superseded");
  await other.close();
});
