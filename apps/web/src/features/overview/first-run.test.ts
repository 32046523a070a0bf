import { expect, test } from "vitest";
import { doneSteps } from "./first-run.ts";

const nothing = { nodes: [], services: { total: 0, inSync: 0 }, connections: 0 };
const director = { role: "director", isConnected: true } as const;

test("a step ticks itself when what it asks for is there", () => {
  expect([...doneSteps(nothing)]).toEqual([]);
  expect([...doneSteps({ ...nothing, nodes: [director] })]).toEqual(["director"]);
  expect([...doneSteps({ ...nothing, nodes: [{ ...director, isConnected: false }] })]).toEqual([]);
  expect([...doneSteps({ ...nothing, nodes: [director], services: { total: 1, inSync: 0 } })]).toEqual(["director", "service"]);
});

test("a service that works needs no enrolled real server, and packets make it complete", () => {
  const works = { nodes: [director], services: { total: 1, inSync: 1 }, connections: 3 };
  expect([...doneSteps(works)]).toEqual(["director", "realServers", "service", "traffic"]);
});
