import fc from "fast-check";
import { expect, test } from "vitest";
import { parseFragment } from "./parse-fragment.ts";
import { Fragment } from "./plan.ts";

const plain = {
  id: "ds:vs_1",
  hash: "h",
  generation: 1,
  kind: "director.service",
  serviceId: "vs_1",
  name: "web",
  vip: "192.0.2.1",
  protocol: "tcp",
  port: 80,
  scheduler: "wlc",
  schedulerFlags: [],
  persistence: null,
  onePacket: false,
  encapsulation: "ipip",
  snatSource: "vip",
  notrack: false,
  destinations: [
    { realServerId: "rs_1", rip: "10.0.0.1", port: 80, forwarding: "dr", weight: 1, upperThreshold: 0, lowerThreshold: 0 },
  ],
};

/** Values that a member may wrongly, or rightly, be given. */
const value = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    undefined,
    true,
    -1,
    0,
    1.5,
    65535,
    65536,
    Number.NaN,
    2 ** 53,
    "",
    "dr",
    "tcp",
    "wrr",
    "mh",
    {},
    [],
  ),
  fc.constantFrom<unknown>("10.0.0.1", "10.0.0.01", "10.0.0", "256.1.1.1", "2001:DB8::1", " 10.0.0.1", "10.0.0.1.", ["fallback"]),
  fc.constantFrom<unknown>(
    { timeoutSeconds: 5, granularity: 32 },
    [{}],
    [null],
    "director.vip",
    "realServer.serve",
    "gre",
    "dip",
  ),
);

test("a plain fragment is answered as it came", () => {
  expect(parseFragment(plain)).toEqual({ success: true, data: plain });
});

test("whatever one member becomes, the schema says the same", () => {
  const places = [
    ...Object.keys(plain).map((name) => [plain, name] as const),
    ...Object.keys(plain.destinations[0]!).map((name) => [plain.destinations[0]!, name] as const),
  ];
  fc.assert(
    fc.property(fc.constantFrom(...places), value, ([place, name], wrong) => {
      const changed = structuredClone(plain);
      const at = (place === plain ? changed : changed.destinations[0]!) as Record<string, unknown>;
      if (wrong === undefined) delete at[name];
      else at[name] = wrong;
      const [ours, theirs] = [parseFragment(changed), Fragment.safeParse(changed)];
      expect(ours.success).toBe(theirs.success);
      expect(ours.data).toEqual(theirs.data);
      expect(ours.error?.issues).toEqual(theirs.error?.issues);
    }),
    { numRuns: 1000 },
  );
});

test("health is answered with every default filled in, whole or not", () => {
  const check = { kind: "tcp", intervalMs: 5000 };
  const whole = Fragment.parse({ ...plain, health: { check, sorryServer: null } });
  expect(parseFragment({ ...plain, health: { check, sorryServer: null } }).data).toEqual(whole);
  for (let again = 0; again < 2; again += 1) expect(parseFragment(structuredClone(whole)).data).toEqual(whole);
  expect(parseFragment({ ...plain, health: { check: { kind: "tcp", fall: 0 }, sorryServer: null } }).success).toBe(false);
});
