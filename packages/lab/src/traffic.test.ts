import { execFile } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { toolsFolder } from "./paths.ts";
import { type LoadSummary, listensIn } from "./traffic.ts";

test("a listening socket is found in /proc/net/tcp by address and port", () => {
  const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 1700020A:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 1700020A:1F92 0100020A:D431 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100 0 0 10 0`;
  expect(listensIn(table, "0.0.0.0:80")).toBe(true);
  expect(listensIn(table, "10.2.0.23:8081")).toBe(true);
  expect(listensIn(table, "10.2.0.23:8082")).toBe(false);
});

test("the load tells the longest time in which no new connection was answered", async () => {
  const awayMs = 700;
  let since: number | undefined;
  const server = createServer((request, response) => {
    since ??= performance.now();
    const age = performance.now() - since;
    if (age > 500 && age < 500 + awayMs) request.socket.destroy();
    else response.end("here");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const target = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { stdout } = await promisify(execFile)("python3", ["-IS", join(toolsFolder, "load.py"), "2", "50", "0", "0", target]);
    const { gapMs, failed } = JSON.parse(stdout.trim().split("\n").at(-1)!) as LoadSummary;
    expect(failed).toBeGreaterThan(0);
    // The first that is answered again may have begun a little earlier.
    expect(gapMs).toBeGreaterThan(awayMs - 250);
    // What a busy machine adds is bounded by the whole load.
    expect(gapMs).toBeLessThan(1_950);
  } finally {
    server.close();
  }
});
