import { randomBytes } from "node:crypto";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { loadSecretKey, open, seal } from "./secrets.ts";

const key = randomBytes(32);

test("a sealed secret opens under its own name and key only, and not when a bit is wrong", () => {
  const sealed = seal(key, "ca", "text");
  expect(open(key, "ca", sealed)).toBe("text");
  expect(sealed.includes("text")).toBe(false);
  expect(seal(key, "ca", "text")).not.toEqual(sealed);
  expect(() => open(key, "front-key", sealed)).toThrow("does not open");
  expect(() => open(randomBytes(32), "ca", sealed)).toThrow("does not open");
  for (let at = 0; at < sealed.length; at++) {
    const broken = Buffer.from(sealed);
    broken[at]! ^= 1;
    expect(() => open(key, "ca", broken)).toThrow();
  }
});

test("the key file is made once, for its owner only, and a short one is refused", async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "trigon-key-"));
  const file = path.join(folder, "deep", "secret.key");
  const [first, second] = await Promise.all([loadSecretKey(file), loadSecretKey(file)]);
  expect(second).toEqual(first);
  expect(fs.statSync(file).mode & 0o777).toBe(0o600);
  fs.writeFileSync(file, "c2hvcnQ=");
  await expect(loadSecretKey(file)).rejects.toThrow("no secret key");
  fs.rmSync(folder, { recursive: true });
});
