import { expect, test } from "vitest";
import { parsePlanEnvelope } from "./parse-envelope.ts";
import { PlanEnvelope } from "./plan.ts";

const envelope = {
  protocol: 1,
  fleetId: "fleet_1",
  epoch: 1,
  generation: 7,
  nodeId: "node_1",
  since: null,
  observeOnly: false,
  allowMassRemoval: false,
  fragments: [{ id: "ds:vs_1", hash: "h", generation: 7, kind: "director.service", name: "web" }],
  tombstones: ["ds:vs_2"],
};

test("a good envelope is answered as it came", () => {
  expect(parsePlanEnvelope(envelope)).toBe(envelope);
  expect(parsePlanEnvelope({ ...envelope, since: 3 })).toEqual(PlanEnvelope.parse({ ...envelope, since: 3 }));
});

const [fragment] = envelope.fragments;
const wrong: [string, unknown][] = [
  ["nothing", undefined],
  ["a list", []],
  ...Object.keys(envelope).map((name): [string, unknown] => [`no ${name}`, { ...envelope, [name]: undefined }]),
  ...Object.entries({ protocol: 1.5, epoch: 0, generation: -1, since: -1, fragments: {}, tombstones: [1], observeOnly: 0 }).map(
    ([name, value]): [string, unknown] => [`${name} ${JSON.stringify(value)}`, { ...envelope, [name]: value }],
  ),
  ...[
    null,
    "x",
    { ...fragment, id: 1 },
    { ...fragment, hash: null },
    { ...fragment, kind: [] },
    { ...fragment, generation: 0.5 },
  ].map((one): [string, unknown] => [`fragment ${JSON.stringify(one)}`, { ...envelope, fragments: [fragment, one] }]),
];
test.each(wrong)("%s is what the schema says it is", (_, body) => {
  const said = PlanEnvelope.safeParse(body);
  expect(said.success).toBe(false);
  expect(() => parsePlanEnvelope(body)).toThrow(said.error?.message);
});
