import type { Fragment, Listener } from "@trigon/model";
import { expect, test } from "vitest";
import { lookAtListeners } from "./listeners.ts";

const fragment = {
  id: "rs:vs_1",
  kind: "realServer.serve",
  serviceId: "vs_1",
  vip: "192.0.2.10",
  protocol: "tcp",
  port: 80,
} as Fragment;
const fragments = new Map([[fragment.id, fragment]]);
const sockets =
  (...addresses: string[]) =>
  () =>
    new Map(addresses.length > 0 ? [[80, new Set(addresses)]] : []);

test("tells of a listener that went, came back, or moved off the VIP, and of nothing else", () => {
  const last = new Map<string, Listener>();
  const look = (...addresses: string[]) => lookAtListeners(fragments, last, sockets(...addresses));
  expect(look("0.0.0.0")).toEqual([]);
  expect(look("192.0.2.10")).toEqual([]);
  expect(look()).toEqual(["vs_1"]);
  expect(look()).toEqual([]);
  expect(look("192.0.2.21")).toEqual(["vs_1"]);
  expect(look("192.0.2.21", "192.0.2.10")).toEqual(["vs_1"]);
});

test("forgets what is no longer served, and reads nothing where nothing is", () => {
  const last = new Map<string, Listener>([["rs:vs_1", "vip"]]);
  const read = () => {
    throw new Error("nothing to read for");
  };
  expect(lookAtListeners(new Map(), last, read)).toEqual([]);
  expect(last.size).toBe(0);
});
