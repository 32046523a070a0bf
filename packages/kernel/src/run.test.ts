import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { run } from "./run.ts";

test("arguments reach the program as they are, whatever a shell would make of them", async () => {
  const words = [
    "",
    " ",
    "a b",
    "it's",
    "'",
    `"`,
    "$HOME",
    "`id`",
    "$(id)",
    "\\",
    "a\nb",
    "*",
    "; exit 3",
    "<<EOF",
    "ü",
    "--",
    "-n",
  ];
  const { stdout, code } = await run("printf", ["%s|", ...words]);
  expect({ stdout, code }).toEqual({ stdout: words.map((word) => `${word}|`).join(""), code: 0 });
});

test("input is read as it is, and a program without any is told so", async () => {
  const input = "first $HOME `id` \\ '\n\nEOF\nlast\n";
  expect((await run("cat", [], { input })).stdout).toBe(input);
  expect((await run("cat", [])).stdout).toBe("");
  const long = `${"line of a long text ü\n".repeat(50_000)}`;
  expect((await run("cat", [], { input: long })).stdout).toBe(long);
  expect(await run("true", [], { input: long })).toMatchObject({ code: 0 }); // it ends before it has read
});

test("output, errors and the exit code come apart, also without a last end of line", async () => {
  expect(await run("sh", ["-c", "printf out; printf err >&2; exit 7"])).toEqual({ code: 7, stdout: "out", stderr: "err" });
  expect(await run("sh", ["-c", "kill -TERM $$"])).toMatchObject({ code: 128 + 15, stdout: "" });
  const { stdout, stderr } = await run("sh", ["-c", "seq 200000; seq 200000 >&2"]);
  expect([stdout.length, stderr]).toEqual([execFileSync("seq", ["200000"], { maxBuffer: 1e8 }).length, stdout]);
});

test("several at once do not mix, and one after the other are all run", async () => {
  const said = await Promise.all(
    [1, 2, 3, 4, 5].map((number) => run("sh", ["-c", `echo ${number}; echo e${number} >&2; exit ${number}`])),
  );
  expect(said).toEqual([1, 2, 3, 4, 5].map((number) => ({ code: number, stdout: `${number}\n`, stderr: `e${number}\n` })));
  for (const number of [1, 2, 3]) expect((await run("echo", [String(number)])).stdout).toBe(`${number}\n`);
});

test("one that takes too long is killed with all that it started, and the next one runs", async () => {
  const mark = `3${String(process.pid).padStart(7, "0")}`; // seconds that nobody else sleeps
  await expect(run("sh", ["-c", `sleep ${mark} & sleep ${mark}`], { timeoutMs: 200 })).rejects.toMatchObject({ code: "timeout" });
  await expect.poll(() => commandLines().filter((line) => line.includes(mark))).toEqual([]);
  expect((await run("echo", ["on"])).stdout).toBe("on\n");
});

test("a program that is not there is named", async () => {
  await expect(run("trigon-has-no-such-program", [])).rejects.toMatchObject({ code: "tool.missing" });
});

test("a shell that waits holds up the end of nobody", () => {
  const script = `import { run } from ${JSON.stringify(new URL("./run.ts", import.meta.url).href)}; console.log((await run("echo", ["done"])).stdout)`;
  const said = execFileSync(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], { timeout: 20_000 });
  expect(said.toString().trim()).toBe("done");
});

function commandLines(): string[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      return [readFileSync(`/proc/${name}/cmdline`, "latin1")];
    } catch {
      return []; // ended meanwhile
    }
  });
}
