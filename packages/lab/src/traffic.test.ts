import { expect, test } from "vitest";
import { listensIn } from "./traffic.ts";

test("a listening socket is found in /proc/net/tcp by address and port", () => {
  const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 1700020A:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
   2: 1700020A:1F92 0100020A:D431 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 100 0 0 10 0`;
  expect(listensIn(table, "0.0.0.0:80")).toBe(true);
  expect(listensIn(table, "10.2.0.23:8081")).toBe(true);
  expect(listensIn(table, "10.2.0.23:8082")).toBe(false);
});
