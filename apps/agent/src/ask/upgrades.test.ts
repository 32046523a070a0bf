import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { recordUpgradeEnd, Upgrades, upgradeRecordPath } from "./upgrades.ts";

let state: string;
let started: string[];
let now: number;
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), "upgrades-"));
  started = [];
  now = Date.parse("2026-01-01T00:00:00Z");
});
afterEach(() => rmSync(state, { recursive: true }));

/** As each start of the agent makes it anew: what is known lies on the disk. */
const agent = (change: Partial<ConstructorParameters<typeof Upgrades>[0]> = {}) =>
  new Upgrades({ state, refusal: () => null, start: async (id) => void started.push(id), now: () => now, ...change });
const onDisk = () => JSON.parse(readFileSync(join(state, "upgrade.json"), "utf8"));

test("an upgrade starts once, however often and by whichever agent it is asked for", async () => {
  expect(await agent().ask("upg_1")).toMatchObject({ id: "upg_1", state: "running", exitCode: null });
  expect(await agent().ask("upg_1")).toMatchObject({ state: "running" });
  expect(started).toEqual(["upg_1"]);
  recordUpgradeEnd(upgradeRecordPath(state), "upg_1", { exitCode: 0, output: "  all good\n" });
  expect(await agent().ask("upg_1")).toMatchObject({ state: "done", exitCode: 0, output: "all good" });
  expect(started).toEqual(["upg_1"]);
  await agent().ask("upg_2");
  expect(started).toEqual(["upg_1", "upg_2"]);
});

test("two at a time are refused, until one is known to be lost", async () => {
  await agent().ask("upg_1");
  await expect(agent().ask("upg_2")).rejects.toThrow("Another upgrade runs");
  now += 16 * 60_000;
  expect(await agent().ask("upg_1")).toMatchObject({ state: "failed", output: "The installer did not end." });
  expect(await agent().ask("upg_2")).toMatchObject({ state: "running" });
});

test("an installer that failed says why; the end of another one is not taken for it", async () => {
  await agent().ask("upg_1");
  recordUpgradeEnd(upgradeRecordPath(state), "upg_0", { exitCode: 0, output: "" });
  expect(onDisk().state).toBe("running");
  recordUpgradeEnd(upgradeRecordPath(state), "upg_1", {
    exitCode: 31,
    output: `${"x".repeat(9_000)}\nagent.tgz is not the file`,
  });
  const said = await agent().ask("upg_1");
  expect(said).toMatchObject({ state: "failed", exitCode: 31, output: expect.stringMatching(/is not the file$/) });
  expect(said.output.length).toBe(4_000);
});

test("what forbids it is said, and nothing is started nor written down", async () => {
  await expect(agent({ refusal: () => "The policy says no" }).ask("upg_1")).rejects.toThrow("The policy says no");
  expect(started).toEqual([]);
  expect(() => onDisk()).toThrow("ENOENT");
});

test("a start that fails is a failed upgrade", async () => {
  const start = () => Promise.reject(new Error("spawn systemd-run ENOENT"));
  expect(await agent({ start }).ask("upg_1")).toMatchObject({ state: "failed", output: "spawn systemd-run ENOENT" });
});
