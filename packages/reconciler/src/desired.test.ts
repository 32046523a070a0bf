import type { Resource } from "@trigon/model";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { make } from "../test/node.ts";
import { Desired } from "./desired.ts";

const vip = "192.0.2.10";
const service = (scheduler: string) => make.service(vip, 80, scheduler);

test("a shared key lives while any fragment wants it", () => {
  const desired = new Desired();
  const shared = make.module("ip_vs");
  desired.replace("a", "1", [shared]);
  desired.replace("b", "1", [shared]);
  desired.remove("a");
  expect(desired.get(shared.key)).toEqual(shared);
  desired.remove("b");
  expect(desired.get(shared.key)).toBeUndefined();
  expect(desired.size).toBe(0);
});

test("replacing a fragment touches what it had and what it has, and nothing else", () => {
  const desired = new Desired();
  const before = make.destination(vip, "192.0.2.21");
  const after = make.destination(vip, "192.0.2.22");
  desired.replace("other", "1", [make.module("ipip")]);
  desired.replace("a", "1", [service("rr"), before]);
  expect([...desired.replace("a", "2", [service("rr"), after])].toSorted()).toEqual(
    [before.key, after.key, service("rr").key].toSorted(),
  );
});

test("floors of one setting merge into the greatest, and fall with the one that asked", () => {
  const desired = new Desired();
  const at = (floor: number) => make.atLeast("net/ipv4/conf/all/arp_ignore", floor);
  desired.replace("a", "1", [at(1)]);
  desired.replace("b", "1", [at(2)]);
  expect(desired.get(at(1).key)).toMatchObject({ atLeast: 2 });
  expect(desired.conflict(at(1).key)).toBeUndefined();
  desired.remove("b");
  expect(desired.get(at(1).key)).toMatchObject({ atLeast: 1 });
});

describe("when two fragments want one key differently", () => {
  test.each([
    ["a", "b"],
    ["b", "a"],
  ])("the first by id keeps it, whoever came first (%s, %s)", (...arrivals) => {
    const desired = new Desired();
    for (const id of arrivals) desired.replace(id, "1", [service(id === "a" ? "rr" : "wlc")]);
    expect(desired.get(service("rr").key)).toMatchObject({ scheduler: "rr" });
    expect(desired.conflict(service("rr").key)).toEqual({ key: service("rr").key, keeper: "a", losers: ["b"] });
  });

  test("a default gives way to another value without a conflict, and stands again when that goes", () => {
    const desired = new Desired();
    const path = "net/ipv4/vs/expire_quiescent_template";
    desired.replace("a", "1", [{ ...make.value(path, "1"), isDefault: true } as Resource]);
    desired.replace("b", "1", [make.value(path, "0")]);
    expect(desired.get(`sysctl ${path}`)).toMatchObject({ value: "0" });
    expect(desired.conflict(`sysctl ${path}`)).toBeUndefined();
    desired.remove("b");
    expect(desired.get(`sysctl ${path}`)).toMatchObject({ value: "1" });
  });

  test("an exact value stands before a floor, and only a floor above it loses", () => {
    const desired = new Desired();
    const path = "net/ipv4/conf/all/arp_ignore";
    desired.replace("a", "1", [make.atLeast(path, 1)]);
    desired.replace("b", "1", [make.atLeast(path, 3)]);
    desired.replace("c", "1", [make.value(path, "2")]);
    expect(desired.get(`sysctl ${path}`)).toMatchObject({ value: "2" });
    expect(desired.conflict(`sysctl ${path}`)).toMatchObject({ keeper: "c", losers: ["b"] });
  });
});

test("what is wanted depends on the fragments that are there, not on how they came and went", () => {
  const resource = fc.oneof(
    fc.constantFrom("rr", "wlc").map(service),
    fc.integer({ min: 1, max: 3 }).map((floor) => make.atLeast("net/ipv4/conf/all/arp_ignore", floor)),
    fc.constantFrom("0", "1").map((value) => make.value("net/ipv4/ip_forward", value)),
  );
  const fragments = fc.array(
    fc.tuple(fc.constantFrom("a", "b", "c"), fc.option(fc.uniqueArray(resource, { selector: ({ key }) => key }), { nil: null })),
  );
  fc.assert(
    fc.property(fragments, (history) => {
      const lived = new Desired();
      for (const [id, resources] of history) {
        if (resources) lived.replace(id, "1", resources);
        else lived.remove(id);
      }
      const fresh = new Desired();
      for (const [id, resources] of new Map(history)) if (resources) fresh.replace(id, "1", resources);
      const sorted = (desired: Desired) => [...desired.resources()].toSorted((a, b) => (a.key < b.key ? -1 : 1));
      expect(sorted(lived)).toEqual(sorted(fresh));
      for (const { key } of fresh.resources()) expect(lived.conflict(key)).toEqual(fresh.conflict(key));
    }),
  );
});
