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

/** Families whose key is a code that comes over the wire, and those that a variable picks from: their members need no mention in the source. */
const byCode = [
  "problem",
  "fieldError",
  "lint",
  "reason",
  "auditEvent",
  "agentEvent",
  "step",
  "path",
  "linkReason",
  "groupFinding",
  "upgradeReason",
];
const byVariable = ["nav", "sync", "gate"];

test("every sentence is used somewhere", () => {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter(
    (file) => /\.tsx?$/.test(file) && !file.includes(".test."),
  );
  const literals = new Set<string>();
  const patterns: RegExp[] = [];
  for (const source of files.map((file) => readFileSync(join(root, file), "utf8"))) {
    const namespaces = ["", ...[...source.matchAll(/useTranslations\("([\w.]+)"\)/g)].map((match) => `${match[1]}.`)];
    for (const namespace of namespaces) {
      // Whole keys, and keys with a part filled in: `forwarding.${kind}.name`.
      for (const [, literal] of source.matchAll(/["`]([\w.]+)["`]/g)) literals.add(`${namespace}${literal}`);
      for (const [, template] of source.matchAll(/`(\w+\.[\w.]*\$\{[^`]+\}[\w.]*)`/g)) {
        const pattern = `${namespace}${template}`.replaceAll(".", "\\.").replace(/\$\{[^}]+\}/g, "\\w+");
        patterns.push(new RegExp(`^${pattern}$`));
      }
    }
  }
  const unused = [...english.keys()].filter(
    (key) =>
      ![...byCode, ...byVariable].includes(key.split(".")[0] ?? "") &&
      !literals.has(key) &&
      !patterns.some((pattern) => pattern.test(key)),
  );
  expect(unused).toEqual([]);
});
