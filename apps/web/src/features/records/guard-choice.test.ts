import { VirtualServiceSpec } from "@trigon/model";
import { expect, test } from "vitest";
import { guardOf } from "./guard-choice.ts";

const spec = VirtualServiceSpec.parse({ name: "web", vip: "192.0.2.1", port: 80, forwarding: "dr", realServers: [] });

test("by itself a save is guarded when it may cut a node off, and as chosen otherwise", () => {
  expect(guardOf("auto", undefined, spec)).toBe("reachability");
  expect(guardOf("auto", spec, { ...spec, vip: "192.0.2.2" })).toBe("reachability");
  expect(guardOf("auto", spec, { ...spec, forwarding: "nat" })).toBe("reachability");
  expect(guardOf("auto", spec, { ...spec, scheduler: "rr" })).toBeUndefined();
  expect(guardOf("none", undefined, spec)).toBeUndefined();
  expect(guardOf("operator", spec, spec)).toBe("operator");
});
