import { expect, test } from "vitest";
import { means, readVerb } from "./verbs.ts";

test("a verb in front of a name is an action on what has that name", () => {
  expect(readVerb("maintenance rs-1")).toEqual({ verb: "maintenance", rest: "rs-1" });
  expect(readVerb("Maintenance of rs-1")).toEqual({ verb: "maintenance", rest: "rs-1" });
  expect(readVerb("维护rs-1")).toEqual({ verb: "maintenance", rest: "rs-1" });
  expect(readVerb("rs-1")).toEqual({ verb: null, rest: "rs-1" });
});

test("an action is meant by the beginnings of its words, or any part of a Chinese name", () => {
  expect(means("cre serv", "Create a service")).toBe(true);
  expect(means("dark", "Theme: dark")).toBe(true);
  expect(means("ark", "Theme: dark")).toBe(false);
  expect(means("服务", "创建虚拟服务", "create service")).toBe(true);
  expect(means("create", "创建虚拟服务", "create service")).toBe(true);
});
