import { expect, test } from "vitest";
import { type Press, readKey, targetOf } from "./shortcuts.ts";

const press = (key: string, more: Partial<Press> = {}): Press => ({
  key,
  isCommand: false,
  isAlt: false,
  isBusy: false,
  ...more,
});
const typed = (...keys: string[]) =>
  keys.reduce<ReturnType<typeof readKey>>((state, key) => readKey(state.pending, press(key)), { pending: false, command: null });

test("g and a letter goes to a page, and another letter goes nowhere", () => {
  expect(typed("g", "s").command).toEqual({ do: "go", to: "/services" });
  expect(typed("g", "t").command).toEqual({ do: "go", to: "/topology" });
  expect(typed("g", "c").command).toEqual({ do: "go", to: "/changes" });
  expect(typed("g", "z")).toEqual({ pending: false, command: null });
  expect(typed("s").command).toBeNull();
  expect(typed("c").command).toEqual({ do: "create" });
});

test("nothing fires while somebody types or a dialog is open, but the palette", () => {
  for (const key of ["g", "/", "c", "e", "?"])
    expect(readKey(false, press(key, { isBusy: true }))).toEqual({ pending: false, command: null });
  expect(readKey(true, press("s", { isBusy: true })).command).toBeNull();
  expect(readKey(false, press("k", { isBusy: true, isCommand: true })).command).toEqual({ do: "palette" });
  expect(readKey(false, press("c", { isCommand: true })).command).toBeNull();
});

test("a question mark needs Shift, which must not end a wait", () => {
  expect(readKey(true, press("Shift"))).toEqual({ pending: true, command: null });
  expect(typed("Shift", "?").command).toEqual({ do: "help" });
});

test("create and edit mean what the page is about", () => {
  expect(targetOf("create", "/nodes")).toBe("/nodes/enroll");
  expect(targetOf("create", "/")).toBe("/services/new");
  expect(targetOf("edit", "/services/vs_12ab")).toBe("/services/vs_12ab/edit");
  expect(targetOf("edit", "/services")).toBeNull();
  expect(targetOf("edit", "/services/vs_12ab/edit")).toBeNull();
});
