import { type DirectorServiceFragment, HealthCheck, HealthSpec, type Resource } from "@trigon/model";
import { expect, test } from "vitest";
import { factsOf } from "../test/facts.ts";
import { pathResources } from "./path-resources.ts";

const facts = {
  ...factsOf({ hostname: "d1", legs: { eth0: ["192.0.2.2/24"] }, gateway: "192.0.2.1" }),
  iptables: "nft" as const,
};
const fragment = (target: "rip" | "vip") =>
  ({
    kind: "director.service",
    vip: "192.0.2.10",
    protocol: "tcp",
    provesPaths: true,
    health: { ...HealthSpec.parse({}), check: HealthCheck.parse({ kind: "tcp", target }) },
    destinations: [{ realServerId: "r1", rip: "192.0.2.21", forwarding: "dr" }],
  }) as unknown as DirectorServiceFragment;
const keys = (resources: readonly Resource[]) => resources.map(({ key }) => key);

test("checks of the VIP have a mark and ports of their own, beside those of paths", () => {
  const plain = keys(pathResources(fragment("rip"), facts));
  const checked = pathResources(fragment("vip"), facts);
  expect(
    keys(checked)
      .filter((key) => !plain.includes(key))
      .toSorted(),
  ).toEqual([
    "filterRule 4 filter INPUT check-returned:eth0",
    "filterRule 4 mangle OUTPUT check-mark",
    "filterRule 4 mangle PREROUTING check-returned:eth0",
    "ipvsService fwmark 0.0.0.0 21590",
  ]);
  expect(plain.filter((key) => !keys(checked).includes(key))).toEqual([]);
  expect(new Set(keys(checked)).size).toBe(checked.length);
  const marks = checked.flatMap((one) => (one.kind === "filterRule" && one.id.endsWith("-mark") ? [one.match.join(" ")] : []));
  expect(marks).toEqual([
    "! -d 127.0.0.0/8 -o lo -p tcp -m tcp --sport 64512:65023 -j MARK --set-xmark 0x5452/0xffffffff",
    "! -d 127.0.0.0/8 -o lo -p tcp -m tcp --sport 65024:65535 -j MARK --set-xmark 0x5456/0xffffffff",
  ]);
});
