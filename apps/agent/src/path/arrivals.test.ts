import { type Facts, type Fragment, RealServerFragment } from "@trigon/model";
import { arrivalKey } from "@trigon/planner";
import { expect, test } from "vitest";
import { Arrivals } from "./arrivals.ts";

const fragment = RealServerFragment.parse({
  id: "rs:vs_1",
  hash: "h",
  generation: 1,
  kind: "realServer.serve",
  serviceId: "vs_1",
  name: "web",
  vip: "192.0.2.10",
  protocol: "tcp",
  port: 80,
  encapsulation: "ipip",
  endpoints: [{ realServerId: "rs_1", rip: "192.0.2.21", port: 80, forwarding: "tun" }],
  directors: [{ nodeId: "node_1", index: 7, address: "192.0.2.2" }],
  probedFrom: ["192.0.2.2"],
});
const facts = {
  interfaces: [{ name: "eth0", mac: null, mtu: 1500, up: true, addresses: [{ address: "192.0.2.21", prefix: 24 }] }],
  routes: [],
} as unknown as Facts;
const end = { vipBound: true, tunnelUp: true, tunnelAddressed: true, rpFilter: 2, listener: "vip" } as const;
const counts = (arrived: number, answered: number) =>
  new Map([
    [arrivalKey("arrived", fragment, "192.0.2.2"), { packets: arrived, bytes: 0 }],
    [arrivalKey("answered", fragment, "192.0.2.2"), { packets: answered, bytes: 0 }],
  ]);

test("tells when each count last grew, and never by the first look", () => {
  const places: unknown[] = [];
  const arrivals = new Arrivals(() => (place) => {
    places.push(place);
    return end;
  });
  const look = (now: number, arrived: number, answered: number) =>
    arrivals.report(counts(arrived, answered), [fragment as Fragment], facts, now)[0];
  expect(look(1_000, 5, 5)).toMatchObject({ arrivedAgoMs: null, answeredAgoMs: null, deliveredAgoMs: null, vipBound: true });
  expect(look(3_000, 8, 5)).toMatchObject({ arrivedAgoMs: 0, answeredAgoMs: null });
  expect(look(7_000, 8, 6)).toMatchObject({ arrivedAgoMs: 4_000, answeredAgoMs: 0 });
  // Rules that were made anew count from 0: that is no growth.
  expect(look(9_000, 1, 1)).toMatchObject({ arrivedAgoMs: 6_000, answeredAgoMs: 2_000 });
  expect(look(11_000, 2, 1)).toMatchObject({ arrivedAgoMs: 0 });
  expect(places[0]).toEqual({ vip: "192.0.2.10", protocol: "tcp", port: 80, entrance: "trg-7", isTunnel: true });
});

test("what passed the machine's own firewall is told where it is counted, and left out elsewhere", () => {
  const arrivals = new Arrivals(() => () => end);
  const look = (rules: Map<string, { packets: number; bytes: number }>, now: number) =>
    arrivals.report(rules, [fragment as Fragment], facts, now)[0];
  const accepted = (packets: number) => new Map([[arrivalKey("accepted", fragment, "192.0.2.2"), { packets, bytes: 0 }]]);
  expect(look(counts(1, 1), 1_000)).not.toHaveProperty("acceptedAgoMs");
  expect(look(accepted(1), 2_000)).toMatchObject({ acceptedAgoMs: null });
  expect(look(accepted(2), 3_000)).toMatchObject({ acceptedAgoMs: 0 });
});

test("a service that nobody probes is not reported, and nothing is read for it", () => {
  const arrivals = new Arrivals(() => {
    throw new Error("nothing to read for");
  });
  const { probedFrom: _, ...unprobed } = fragment;
  expect(arrivals.report(new Map(), [unprobed as Fragment], facts, 0)).toEqual([]);
});
