import { expect, test } from "vitest";
import { parsePackets } from "./capture.ts";

test("tcpdump's lines become packets, continuation lines joined to theirs", () => {
  const text = `1700000000.123456 02:54:52:00:01:01 > 02:54:52:00:02:01, ethertype IPv4 (0x0800), length 74: (tos 0x0)
    10.1.0.10.40000 > 10.2.0.100.80: Flags [S], seq 1
1700000001.000000 ARP, Request who-has 10.2.0.100 tell 10.2.0.1, length 28`;
  expect(parsePackets(text.split("\n"))).toEqual([
    {
      time: 1700000000.123456,
      line: "02:54:52:00:01:01 > 02:54:52:00:02:01, ethertype IPv4 (0x0800), length 74: (tos 0x0) 10.1.0.10.40000 > 10.2.0.100.80: Flags [S], seq 1",
    },
    { time: 1700000001, line: "ARP, Request who-has 10.2.0.100 tell 10.2.0.1, length 28" },
  ]);
});
