import { expect, test } from "vitest";
import { isSameOrigin } from "./same-origin.ts";

const from = (method: string, headers: Record<string, string>) =>
  isSameOrigin({ method, url: "https://lb.example:8443/api/v1/nodes", headers: new Headers(headers) });

test("another site's page cannot change anything with the operator's cookie", () => {
  expect(from("POST", { origin: "https://evil.example" })).toBe(false);
  expect(from("POST", { origin: "https://lb.example" })).toBe(false); // another port is another origin
  expect(from("POST", { origin: "null" })).toBe(false);
  expect(from("DELETE", { "sec-fetch-site": "cross-site" })).toBe(false);
});

test("the console itself, and programs that are no browsers, can", () => {
  expect(from("POST", { origin: "https://lb.example:8443" })).toBe(true);
  expect(from("POST", {})).toBe(true);
  expect(from("GET", { origin: "https://evil.example" })).toBe(true);
});
