import { describe, expect, test } from "vitest";
import { canonicalAddress, familyOf, hostPrefix, IpAddress, inNetwork, unusableReason } from "./address.ts";
import { endpoint } from "./endpoint.ts";

describe("an address has one spelling", () => {
  test.each([
    ["192.0.2.10", "192.0.2.10"],
    [" 192.0.2.10 ", "192.0.2.10"],
    ["2001:DB8:0:0::0001", "2001:db8::1"],
    ["::ffff:192.0.2.1", "::ffff:c000:201"],
  ])("%s → %s", (text, canonical) => {
    expect(canonicalAddress(text)).toBe(canonical);
  });

  test.each([
    "",
    "192.0.2",
    "192.0.2.256",
    "192.0.2.010",
    "0x7f.0.0.1",
    "192.0.2.1/24",
    "fe80::1%eth0",
    "localhost",
    "3221225985",
  ])("%j is no address", (text) => {
    expect(canonicalAddress(text)).toBeUndefined();
    expect(IpAddress.safeParse(text).success).toBe(false);
  });
});

test("families and host prefixes", () => {
  expect([familyOf("192.0.2.1"), hostPrefix("192.0.2.1")]).toEqual([4, 32]);
  expect([familyOf("2001:db8::1"), hostPrefix("2001:db8::1")]).toEqual([6, 128]);
});

test("addresses of different families share no network", () => {
  expect(inNetwork("192.0.2.77", "192.0.2.1", 24)).toBe(true);
  expect(inNetwork("192.0.3.77", "192.0.2.1", 24)).toBe(false);
  expect(inNetwork("2001:db8::7", "2001:db8::", 64)).toBe(true);
  expect(inNetwork("2001:db8::7", "0.0.0.0", 0)).toBe(false);
});

test.each([
  ["0.0.0.0", "unspecified"],
  ["127.0.0.9", "loopback"],
  ["224.0.0.81", "multicast"],
  ["255.255.255.255", "broadcast"],
  ["169.254.1.1", "linkLocal"],
  ["::1", "loopback"],
  ["fe80::1", "linkLocal"],
  ["192.0.2.10", undefined],
  ["10.0.0.1", undefined],
])("%s is unusable as VIP because it is %s", (address, reason) => {
  expect(unusableReason(address)).toBe(reason);
});

test("an IPv6 endpoint is bracketed", () => {
  expect(endpoint("192.0.2.10", 80)).toBe("192.0.2.10:80");
  expect(endpoint("2001:db8::10", 80)).toBe("[2001:db8::10]:80");
});
