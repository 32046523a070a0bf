import { describe, expect, test } from "vitest";
import { defaultCheck, HealthCheck, HealthSpec, verdictIn } from "./health.ts";
import { VirtualServiceSpec } from "./spec.ts";

const service = { name: "web", vip: "192.0.2.10", port: 80, forwarding: "dr" } as const;

describe("health of a spec", () => {
  test("a spec from before there was health gets the default, spelled out", () => {
    expect(VirtualServiceSpec.parse(service).health).toEqual({
      check: null,
      onFailure: "inhibit",
      quorum: { up: 1, down: 1 },
      sorryServer: null,
      failOpen: true,
      maxOutAtOnce: null,
    });
  });

  test.each([
    ["tcp", "tcp"],
    ["udp", "icmp"],
    ["sctp", "icmp"],
  ] as const)("a %s service is checked by %s unless it says otherwise", (protocol, kind) => {
    expect(defaultCheck(protocol)).toMatchObject({ kind, intervalMs: 2000, timeoutMs: 1000, rise: 2, fall: 3, target: "rip" });
  });

  test.each([
    [{ kind: "udp" }],
    [{ kind: "http", path: "no-slash" }],
    [{ kind: "http", path: "/a b" }],
    [{ kind: "http", statuses: "2xx" }],
    [{ kind: "http", headers: [{ name: "X", value: "a\r\nHost: evil" }] }],
    [{ kind: "tcp", fall: 0 }],
    [{ kind: "tcp", target: "dip" }],
    [{ kind: "tcp", path: "/" }],
  ])("%j is refused", (check) => {
    expect(HealthCheck.safeParse(check).success).toBe(false);
  });

  test("reading what was written changes nothing", () => {
    const once = HealthSpec.parse({ check: { kind: "https", sni: "a.example", verify: true, statuses: "200,301-302" } });
    expect(HealthSpec.parse(JSON.parse(JSON.stringify(once)))).toEqual(once);
  });
});

describe("the verdict that counts", () => {
  const out = new Set(["rs_1"]);
  test.each([
    ["normal", "rs_1", "down"],
    ["normal", "rs_2", "up"],
    ["failOpen", "rs_1", "up"],
    ["sorry", "rs_2", "down"],
  ] as const)("%s: %s is %s", (mode, id, verdict) => {
    expect(verdictIn({ mode, out }, id)).toBe(verdict);
  });
  test("nobody checks: up", () => expect(verdictIn(undefined, "rs_1")).toBe("up"));
});
