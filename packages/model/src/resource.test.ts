import { expect, test } from "vitest";
import { kindOfKey, resourceKey, serviceKeyOf } from "./resource.ts";

test.each([
  [resourceKey.module("ip_vs"), "module ip_vs"],
  [resourceKey.link("trg-1"), "link trg-1"],
  [resourceKey.linkState("tunl0"), "linkState tunl0"],
  [resourceKey.sysctl("net/ipv4/ip_forward"), "sysctl net/ipv4/ip_forward"],
  [
    resourceKey.filterRule({ family: 4, table: "raw", hook: "PREROUTING", id: "drop:trg-1" }),
    "filterRule 4 raw PREROUTING drop:trg-1",
  ],
  [resourceKey.ipvsService("tcp", "192.0.2.10", 80), "ipvsService tcp 192.0.2.10 80"],
  [resourceKey.address("lo", "192.0.2.10", 32), "address lo 192.0.2.10/32"],
])("%s is spelled so: journals on disk and reports hold it", (key, spelling) => {
  expect(key).toBe(spelling);
  expect(kindOfKey(key)).toBe(spelling.split(" ")[0]);
});

test.each(["192.0.2.10", "2001:db8::10"])("a destination's key leads to its service's (%s)", (vip) => {
  const service = resourceKey.ipvsService("udp", vip, 53);
  const destination = resourceKey.ipvsDestination(service, "192.0.2.21", 5353);
  expect(kindOfKey(destination)).toBe("ipvsDestination");
  expect(serviceKeyOf(destination)).toBe(service);
});
