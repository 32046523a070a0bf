import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Resource } from "@trigon/model";
import { afterEach, beforeEach, expect, test } from "vitest";
import { defaultPolicy, Policy, PolicyUnreadable, policyRefusal, readPolicy } from "./policy.ts";

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "trigon-policy-"));
  path = join(directory, "policy.yaml");
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const vipOn = (name: string): Resource[] => [
  { kind: "address", key: "k", interface: name, address: "192.0.2.10", prefix: 32, purpose: "vipOnDirector" },
];

test("without a file every VIP is accepted and half the services may go at once", () => {
  expect(readPolicy(path)).toEqual(defaultPolicy);
  expect(policyRefusal(defaultPolicy, "192.0.2.10", vipOn("eth0"))).toBeUndefined();
  expect(defaultPolicy.maxRemovalShare).toBe(0.5);
});

test("a VIP outside the accepted networks, or on another interface, is refused with the reason", () => {
  writeFileSync(path, "vips: [192.0.2.0/24, '2001:db8::/32']\ninterfaces: [eth0]\n");
  const policy = readPolicy(path);
  expect(policyRefusal(policy, "192.0.2.10", vipOn("eth0"))).toBeUndefined();
  expect(policyRefusal(policy, "2001:db8::7", [])).toBeUndefined();
  expect(policyRefusal(policy, "198.51.100.1", [])).toMatch("198.51.100.1 is in none of the networks");
  expect(policyRefusal(policy, "192.0.2.10", vipOn("eth1"))).toMatch("eth1");
});

test.each(["vips: [nowhere]", "vips: [192.0.2.0/33]", "maxRemovalShare: 2", "scripts: true", "unknown: 1", "a: [", "- list"])(
  "a policy that reads %j is unreadable, never the default",
  (text) => {
    writeFileSync(path, text);
    expect(() => readPolicy(path)).toThrow(PolicyUnreadable);
  },
);

test("an empty file is the default policy", () => {
  writeFileSync(path, "# nothing yet\n");
  expect(readPolicy(path)).toEqual(Policy.parse({}));
});
