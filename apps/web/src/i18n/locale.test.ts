import { expect, test } from "vitest";
import { negotiate } from "./locale.ts";

test("a reader's own choice wins over the browser's", () => {
  expect(negotiate("en", "zh-CN,zh;q=0.9")).toBe("en");
});

test("the browser's order of languages is kept, by quality", () => {
  expect(negotiate(undefined, "en;q=0.3, zh-TW;q=0.8")).toBe("zh-CN");
  expect(negotiate(undefined, "de, en-GB;q=0.8, zh;q=0.5")).toBe("en");
});

test("a language that was refused, an unknown one and nonsense end in English", () => {
  expect(negotiate("tlh", "zh;q=0")).toBe("en");
  expect(negotiate(undefined, "fr-FR")).toBe("en");
  expect(negotiate(undefined, null)).toBe("en");
});
