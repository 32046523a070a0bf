import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { fillInstallScript } from "./install-script.ts";

const file = fileURLToPath(new URL("../../../../infra/install/install.sh", import.meta.url));
const values = {
  VERSION: "1.2.3",
  CONSOLE_URL: "https://lb.example:8443",
  AGENT_URL: "https://lb.example:9443",
  BUNDLE_SHA256: "00",
  NODE_SHA256_X64: "",
  NODE_SHA256_ARM64: "",
  CA_PEM: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
  UNIT: "[Service]\nExecStart=/opt/trigon/bin/trigon-agent run\nEnvironment='A=B'\n",
};

test("the template and the filled script are POSIX sh without a shellcheck finding", () => {
  execFileSync("shellcheck", ["--shell=sh", file]);
  const filled = fillInstallScript(readFileSync(file, "utf8"), values);
  expect(filled).not.toContain("{{");
  execFileSync("shellcheck", ["--shell=sh", "-"], { input: filled });
});

test("a value that would end its quotes is refused", () => {
  expect(() => fillInstallScript("X='{{VERSION}}'", { ...values, VERSION: "1'; rm -rf /" })).toThrow("VERSION");
  expect(() => fillInstallScript("X='{{OTHER}}'", values)).toThrow("OTHER");
});

test("a script cut anywhere before its last line does nothing", () => {
  const lines = fillInstallScript(readFileSync(file, "utf8"), values).trimEnd().split("\n");
  expect(lines.at(-1)).toBe('main "$@"');
  for (const share of [0.3, 0.6, 0.9]) {
    const cut = lines.slice(0, Math.floor(lines.length * share)).join("\n");
    expect(spawnSync("sh", ["-s", "--", "--token", "trg1.x"], { input: cut }).stdout.toString()).toBe("");
  }
});

test("without a token, or with something else, the script says how it is used and exits 2", () => {
  const script = fillInstallScript(readFileSync(file, "utf8"), values);
  for (const args of [[], ["--token"], ["--token", "secret"], ["--token", 'trg1.a"b'], ["--frobnicate"]]) {
    const { status, stderr } = spawnSync("sh", ["-s", "--", ...args], { input: script });
    expect(status, args.join(" ")).toBe(2);
    expect(stderr.toString()).toContain("usage:");
  }
});
