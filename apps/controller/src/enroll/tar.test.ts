import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { tarOfFile } from "./tar.ts";

test("tar unpacks what tarOfFile packed, with its mode", () => {
  const folder = mkdtempSync(join(tmpdir(), "trigon-tar-"));
  try {
    const content = Buffer.alloc(1300, "x");
    writeFileSync(join(folder, "a.tar"), tarOfFile("bin/node", 0o755, content));
    execFileSync("tar", ["-xf", "a.tar"], { cwd: folder });
    expect(readFileSync(join(folder, "bin/node")).equals(content)).toBe(true);
    expect(statSync(join(folder, "bin/node")).mode & 0o777).toBe(0o755);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
