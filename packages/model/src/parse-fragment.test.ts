import fc from "fast-check";
import { expect, test } from "vitest";
import { briefFragment, parseFragment } from "./parse-fragment.ts";
import { type DirectorServiceFragment, Fragment } from "./plan.ts";

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

/** What a destination that says nothing of them has. */
const usual = { port: 80, weight: 1, upperThreshold: 0, lowerThreshold: 0 };

function withUsual(fragment: typeof plain): unknown {
  const { destinations } = fragment;
  if (!Array.isArray(destinations) || fragment.kind !== "director.service") return fragment;
  const fill = (destination: unknown) =>
    typeof destination === "object" && destination ? { ...usual, port: fragment.port, ...destination } : destination;
  return { ...fragment, destinations: destinations.map(fill) };
}

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
      const [ours, theirs] = [parseFragment(changed), Fragment.safeParse(withUsual(changed))];
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

const destination = fc.record({
  realServerId: fc.constantFrom("rs_1", "rs_2"),
  rip: fc.constantFrom("10.0.0.1", "2001:db8::1"),
  port: fc.constantFrom(80, 8080, 0),
  forwarding: fc.constantFrom("dr" as const, "nat" as const),
  weight: fc.constantFrom(0, 1, 2),
  upperThreshold: fc.constantFrom(0, 5),
  lowerThreshold: fc.constantFrom(0, 5),
});

test("what is left out on the way is there again at the end", () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          destination,
          destination.map((one) => ({ ...one, adminState: "draining" as const })),
        ),
      ),
      (list) => {
        const fragment = { ...plain, destinations: list } as unknown as DirectorServiceFragment;
        const travelled = JSON.parse(JSON.stringify(briefFragment(fragment)));
        expect(parseFragment(travelled).data).toMatchObject(fragment);
      },
    ),
  );
});

test("a destination that is as most are travels as its id and its address", () => {
  const { destinations } = briefFragment(plain as unknown as DirectorServiceFragment);
  expect(destinations).toEqual([{ realServerId: "rs_1", rip: "10.0.0.1" }]);
});

test("a fragment of another kind travels as it is", () => {
  const vip = { ...plain, kind: "director.vip" as const, heldBy: "agent" as const };
  expect(briefFragment(vip)).toBe(vip);
});
