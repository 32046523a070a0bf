import type { Fragment } from "@trigon/model";
import { expect, test } from "vitest";
import { servicesAlone } from "./counting.ts";

const service = { kind: "director.service", protocol: "tcp", vip: "192.0.2.10", port: 80 } as Fragment;
const vip = { kind: "director.vip", vip: "192.0.2.10" } as Fragment;
const serve = { kind: "realServer.serve" } as Fragment;

test("a director counts its services, and a real server its rules too", () => {
  expect(servicesAlone([service, vip])).toEqual(["ipvsService tcp 192.0.2.10 80"]);
  expect(servicesAlone([service, serve])).toBeUndefined();
});
