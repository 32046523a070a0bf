import { VirtualServiceSpec, VirtualServiceView } from "@trigon/model";
import { expect, test } from "vitest";
import { emptyRealServer, emptyService, specOf, withoutBlankRows } from "./spec.ts";

const view = VirtualServiceView.parse({
  id: "vs_1",
  revision: 3,
  createdAt: "2026-01-01T00:00:00Z",
  updatedAt: "2026-01-01T00:00:00Z",
  name: "web",
  directorGroupId: "dg_1",
  vip: "10.0.0.1",
  port: 80,
  forwarding: "tun",
  realServers: [{ id: "rs_1", rip: "10.0.0.2", port: null }],
  status: { sync: { state: "inSync", reason: "", message: "" }, parts: [], gates: [], health: null },
});

test("a view goes back as the spec it was made from, real server ids kept", () => {
  const spec = VirtualServiceSpec.parse(specOf(view));
  expect(spec.realServers[0]?.id).toBe("rs_1");
  expect(spec).not.toHaveProperty("status");
});

test("rows nobody typed into are not sent, and errors still find their row", () => {
  const values = { ...emptyService(), realServers: [emptyRealServer(), { ...emptyRealServer(), rip: "10.0.0.2" }] };
  const { values: sent, toForm } = withoutBlankRows(values);
  expect(sent.realServers.map(({ rip }) => rip)).toEqual(["10.0.0.2"]);
  expect(toForm("/realServers/0/rip")).toBe("/realServers/1/rip"); // an error about the first that was sent stands in the second row
  expect(toForm("/vip")).toBe("/vip");
});
