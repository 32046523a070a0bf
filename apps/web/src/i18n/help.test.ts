import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { helpOf } from "./help.ts";

const [english, chinese] = [helpOf("en").complaints.items, helpOf("zh-CN").complaints.items];

test("both languages answer the same ten complaints, with the same links", () => {
  expect(english).toHaveLength(10);
  expect(chinese.map(({ href }) => href)).toEqual(english.map(({ href }) => href));
  expect(chinese.map(({ link }) => link !== undefined)).toEqual(english.map(({ href }) => href !== undefined));
  expect(english.map(({ link }) => link !== undefined)).toEqual(english.map(({ href }) => href !== undefined));
});

test("nothing in Chinese was left in English", () => {
  const sentences = chinese.flatMap(({ complaint, answer, link }) => [complaint, answer, ...(link ? [link] : [])]);
  expect(sentences.filter((sentence) => !/\p{Script=Han}/u.test(sentence))).toEqual([]);
});

test("each link leads to a page", () => {
  const pageOf = (href: string) => fileURLToPath(new URL(`../app/(console)${href}/page.tsx`, import.meta.url));
  expect(english.flatMap(({ href }) => (href === undefined || existsSync(pageOf(href)) ? [] : [href]))).toEqual([]);
});
