import { VirtualServiceSpec } from "@trigon/model";
import { expect, test } from "vitest";
import { formPath, issuesOf, numberTyped } from "./field-issues.ts";

function issues(values: unknown) {
  const parsed = VirtualServiceSpec.safeParse(values);
  return parsed.success
    ? []
    : issuesOf(parsed.error, values).map(({ pointer, code, meta }) => ({ pointer, code, ...(meta ? { meta } : {}) }));
}
const good = { name: "web", vip: "10.0.0.1", port: 80, forwarding: "dr", realServers: [] };

test("each wrong field is named by its pointer and a code", () => {
  expect(issues(good)).toEqual([]);
  expect(issues({ ...good, vip: "10.0.0" })).toEqual([{ pointer: "/vip", code: "address.invalid" }]);
  expect(issues({ ...good, port: 70000 })).toEqual([{ pointer: "/port", code: "field.range", meta: { maximum: 65535 } }]);
  expect(issues({ ...good, port: "http" })).toEqual([{ pointer: "/port", code: "field.type" }]);
  expect(issues({ ...good, name: "-web" })).toEqual([{ pointer: "/name", code: "field.format" }]);
  expect(issues({ ...good, realServers: [{ rip: "10.0.0.2" }, { rip: "nope" }] })).toEqual([
    { pointer: "/realServers/1/rip", code: "address.invalid" },
  ]);
});

test("a field left empty is missing rather than wrong", () => {
  expect(issues({ ...good, name: "", port: null })).toContainEqual({ pointer: "/port", code: "field.required" });
  expect(issues({ ...good, vip: "" })).toEqual([{ pointer: "/vip", code: "field.required" }]);
});

test("a pointer finds its place in the form", () => {
  expect(formPath("/realServers/3/rip")).toBe("realServers.3.rip");
  expect(formPath("/a~1b")).toBe("a/b");
});

test("a typed number is a number, an empty box is null, and anything else stays to be refused", () => {
  expect([" 80 ", "", "8o", "-1", 7].map(numberTyped)).toEqual([80, null, "8o", "-1", 7]);
});
