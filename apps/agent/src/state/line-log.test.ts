import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { LineLog, readLines } from "./line-log.ts";

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "trigon-log-"));
  path = join(directory, "journal.log");
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test("what was appended is there after a restart", () => {
  const { log } = LineLog.open(path);
  log.append([{ n: 1 }, { n: 2 }]);
  log.close();
  expect(LineLog.open(path).recovered).toEqual({ entries: [{ n: 1 }, { n: 2 }], damaged: 0 });
});

test("an append cut short by a crash is dropped, and the next one is whole", () => {
  writeFileSync(path, '{"n":1}\n{"n":2,"half');
  const { log, recovered } = LineLog.open(path);
  expect(recovered).toEqual({ entries: [{ n: 1 }], damaged: 0 });
  log.append([{ n: 3 }]);
  expect(readFileSync(path, "utf8")).toBe('{"n":1}\n{"n":3}\n');
});

test("every possible cut leaves a prefix of what was acknowledged", () => {
  const whole = Buffer.from('{"a":"é"}\n{"b":[1,2]}\n{"c":null}\n');
  for (let length = 0; length <= whole.length; length++) {
    writeFileSync(path, whole.subarray(0, length));
    const lines = whole.subarray(0, length).toString("latin1").split("\n").length - 1;
    expect(readLines(path)).toEqual({ entries: [{ a: "é" }, { b: [1, 2] }, { c: null }].slice(0, lines), damaged: 0 });
  }
});

test("a damaged whole line is counted and the rest is kept", () => {
  writeFileSync(path, '{"n":1}\n\0\0\0\n{"n":3}\n');
  expect(readLines(path)).toEqual({ entries: [{ n: 1 }, { n: 3 }], damaged: 1 });
});

test("replacing leaves the new content and appends go after it", () => {
  const { log } = LineLog.open(path);
  log.append([{ n: 1 }, { n: 2 }]);
  log.replace([{ n: 2 }]);
  log.append([{ n: 3 }]);
  log.close();
  expect(readFileSync(path, "utf8")).toBe('{"n":2}\n{"n":3}\n');
});

test("reading does not create the file", () => {
  expect(readLines(path)).toEqual({ entries: [], damaged: 0 });
  appendFileSync(join(directory, "other"), "");
  expect(() => readFileSync(path)).toThrow(/ENOENT/);
});
