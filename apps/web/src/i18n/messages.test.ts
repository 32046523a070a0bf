import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import en from "./messages/en.json" with { type: "json" };
import zhCN from "./messages/zh-CN.json" with { type: "json" };

function leaves(value: unknown, path = ""): Map<string, string> {
  if (typeof value === "string") return new Map([[path, value]]);
  return new Map(
    Object.entries(value as object).flatMap(([key, item]) => [...leaves(item, path === "" ? key : `${path}.${key}`)]),
  );
}
const english = leaves(en);
const chinese = leaves(zhCN);
const gaps = (sentence: string) => [...new Set([...sentence.matchAll(/\{(\w+)[,}]/g)].map((match) => match[1]))].sort();

test("both languages have the same sentences", () => {
  expect([...chinese.keys()].sort()).toEqual([...english.keys()].sort());
});

test("a sentence has the same gaps in both languages", () => {
  for (const [key, sentence] of english) expect([key, gaps(chinese.get(key) ?? "")]).toEqual([key, gaps(sentence)]);
});

test("no Chinese sentence was left in English", () => {
  const untranslated = [...chinese].filter(([key, sentence]) => sentence === english.get(key) && !/^[A-Z]{2,6}$/.test(sentence));
  expect(untranslated).toEqual([]);
});

/** Families whose key is a code that comes over the wire; their members are the codes the other packages can send. */
const byCode = ["problem", "fieldError", "lint", "reason", "auditEvent", "agentEvent"];

test("every sentence is used somewhere", () => {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter(
    (file) => /\.tsx?$/.test(file) && !file.includes(".test."),
  );
  const sources = files.map((file) => readFileSync(join(root, file), "utf8"));
  // A key stands in the source whole, or without its namespace, or with its last parts filled in: `forwarding.${kind}.name`.
  const literals = new Set<string>();
  const patterns: RegExp[] = [];
  for (const source of sources) {
    const namespaces = ["", ...[...source.matchAll(/useTranslations\("([\w.]+)"\)/g)].map((match) => `${match[1]}.`)];
    for (const [, literal] of source.matchAll(/["`]([\w.]+)["`]/g))
      for (const namespace of namespaces) literals.add(`${namespace}${literal}`);
    for (const [, template] of source.matchAll(/`([\w.]*\$\{[^`]+\}[\w.]*)`/g)) {
      const pattern = template!.replaceAll(".", "\\.").replace(/\$\{[^}]+\}/g, "\\w+");
      for (const namespace of namespaces) patterns.push(new RegExp(`^${namespace.replaceAll(".", "\\.")}${pattern}$`));
    }
    // `t(key)` and `t(state)`: the namespace's own members are looked up by a variable.
    for (const namespace of namespaces.slice(1))
      if (/\bt\((\w+|[\w.]+)\)/.test(source)) patterns.push(new RegExp(`^${namespace.replaceAll(".", "\\.")}\\w+$`));
  }
  const unused = [...english.keys()].filter(
    (key) => !byCode.includes(key.split(".")[0] ?? "") && !literals.has(key) && !patterns.some((pattern) => pattern.test(key)),
  );
  expect(unused).toEqual([]);
});
