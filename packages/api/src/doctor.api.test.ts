import { until } from "@trigon/db/testing/test-database";
import type { DoctorReport } from "@trigon/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestFleet, factsOf, type TestAgent, type TestFleet } from "./testing/fleet.ts";

let fleet: TestFleet;
let director: TestAgent;
beforeAll(async () => {
  fleet = await createTestFleet();
  director = await fleet.enroll("director", factsOf("lb-1", "192.0.2.2"));
});
afterAll(() => fleet.close());

const doctor: DoctorReport = {
  at: "2026-11-22T12:00:00.000Z",
  findings: [
    {
      check: "firewall",
      subject: "INPUT 192.0.2.100:80/tcp",
      state: "fail",
      observed: "dropped by -P INPUT DROP",
      wanted: "let through",
      why: "Clients come in here.",
      command: "iptables -S INPUT",
    },
  ],
};

/** The controller adds what only it can tell: how far the clock is off. */
const shown = ({ at, findings }: DoctorReport) => ({
  at,
  findings: [...findings, expect.objectContaining({ check: "clock", subject: "skew", state: "ok" })],
});

test("a node that did not look yet says so", async () => {
  expect((await fleet.caller.node.get({ id: director.nodeId })).doctor).toBeNull();
});

test("a clock that is off is told by when reports come", async () => {
  await director.turn();
  await director.report({ doctor, at: new Date(Date.now() - 3_600_000).toISOString() });
  const { findings } = (await fleet.caller.node.get({ id: director.nodeId })).doctor!;
  expect(findings.at(-1)).toMatchObject({ check: "clock", state: "warn", observed: "3600 s behind the controller" });
});

test("what a node's agent found stays until it finds something else, here and at another replica", async () => {
  const { nodeId } = director;
  await director.turn();
  await director.report({ doctor });
  expect((await fleet.caller.node.get({ id: nodeId })).doctor).toEqual(shown(doctor));
  await director.report({ full: false, fragments: [] });
  expect((await fleet.caller.node.get({ id: nodeId })).doctor).toEqual(shown(doctor));
  const other = await fleet.replica();
  await until(async () => (await other.caller.node.get({ id: nodeId })).doctor !== null);
  expect((await other.caller.node.get({ id: nodeId })).doctor).toEqual(shown(doctor));
  const better = { at: "2026-11-22T12:01:00.000Z", findings: [] };
  await director.report({ doctor: better });
  expect((await fleet.caller.node.get({ id: nodeId })).doctor).toEqual(shown(better));
  expect(await fleet.database.sql(`SELECT doctor FROM "nodeReport"`)).toEqual([{ doctor: better }]);
  await other.close();
});
