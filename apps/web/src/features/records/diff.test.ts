import { expect, test } from "vitest";
import { fieldChanges } from "./diff.ts";

const one = { id: "rs_1", rip: "10.0.0.1", port: null, weight: 1 };
const two = { id: "rs_2", rip: "10.0.0.2", port: null, weight: 1 };

test("only what differs is a change, and read-only fields never are", () => {
  expect(fieldChanges({ name: "web", port: 80, revision: 1 }, { name: "web", port: 81, revision: 2 })).toEqual([
    { path: "port", before: "80", after: "81" },
  ]);
});

test("a real server is itself wherever it stands in the list", () => {
  expect(fieldChanges({ realServers: [one, two] }, { realServers: [two, one] })).toEqual([]);
  expect(fieldChanges({ realServers: [one, two] }, { realServers: [two, { ...one, weight: 5 }] })).toEqual([
    { path: "realServers 10.0.0.1 · weight", before: "1", after: "5" },
  ]);
});

test("a created object shows its fields, a deleted one what was lost", () => {
  expect(fieldChanges(null, { name: "web" })).toEqual([{ path: "name", before: null, after: "web" }]);
  expect(fieldChanges({ persistence: { timeoutSeconds: 300 } }, { persistence: null })).toEqual([
    { path: "persistence · timeoutSeconds", before: "300", after: null },
  ]);
});
