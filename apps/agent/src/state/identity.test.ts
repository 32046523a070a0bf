import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { newKeyAndRequest } from "./csr.ts";
import { type Identity, lifeOf, readIdentity, storeIdentity } from "./identity.ts";
import { lockHolder, takeLock } from "./lock.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "trigon-identity-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const file = (name: string, text: string) => {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
};
const openssl = (...args: string[]) => execFileSync("openssl", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

/** A certificate that openssl made from our request. */
function signed(): Identity {
  const { keyPem, csrPem } = newKeyAndRequest("node_1");
  const selfSigned = openssl("x509", "-req", "-in", file("csr", csrPem), "-signkey", file("key", keyPem), "-days", "30");
  return {
    key: keyPem,
    certificate: selfSigned,
    ca: selfSigned,
    enrollment: {
      fleetId: "fleet_1",
      nodeId: "node_1",
      name: "dir1",
      agentUrl: "https://controller:9443",
      consoleUrl: "https://controller:8443",
    },
  };
}

test("openssl accepts the request and finds its signature right", () => {
  const { csrPem } = newKeyAndRequest("node_1");
  const text = openssl("req", "-in", file("csr", csrPem), "-verify", "-noout", "-subject", "-text");
  expect(text).toMatch(/CN ?= ?node_1/);
  expect(text).toMatch(/prime256v1/);
});

test("an identity is stored with a key nobody else can read", () => {
  const identity = signed();
  expect(readIdentity(directory)).toBeNull();
  storeIdentity(directory, identity);
  expect(readIdentity(directory)).toEqual(identity);
  expect(statSync(join(directory, "identity/key.pem")).mode & 0o777).toBe(0o600);
  expect(statSync(join(directory, "identity/credentials.json")).mode & 0o777).toBe(0o600);
});

test("a certificate for another key is refused and stores nothing", () => {
  expect(() => storeIdentity(directory, { ...signed(), key: newKeyAndRequest("x").keyPem })).toThrow("not for this node's key");
  expect(readIdentity(directory)).toBeNull();
});

test("renewal is due at two thirds of a certificate's life", () => {
  const { from, until, renewAt } = lifeOf(signed().certificate);
  expect(until - from).toBe(30 * 86_400_000);
  expect(renewAt - from).toBe(20 * 86_400_000);
});

test("a lock is held by one living process, and a dead one's is taken over", () => {
  const path = join(directory, "agent.lock");
  writeFileSync(path, JSON.stringify({ pid: process.pid, startedAt: "1" }));
  expect(lockHolder(path)).toBeNull();
  const taken = takeLock(path);
  expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject({ pid: process.pid });
  expect(takeLock(path)).toMatchObject({ holder: { pid: process.pid } });
  if ("release" in taken) taken.release();
  expect(lockHolder(path)).toBeNull();
});
