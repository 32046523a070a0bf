import { expect, test } from "vitest";
import { safeNext, signInPath } from "./session.ts";

test("signing in leads back to the page and its filters", () => {
  const path = signInPath({ pathname: "/services", search: "?q=web" });
  expect(path).toBe("/sign-in?next=%2Fservices%3Fq%3Dweb");
  expect(safeNext(new URL(path, "http://x").searchParams.get("next"))).toBe("/services?q=web");
});

test.each(["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/sign-in?next=/", null])(
  "%s leads nowhere but home",
  (next) => {
    expect(safeNext(next)).toBe("/");
  },
);
