import { expect, test } from "vitest";
import { parseConnection } from "./connections.ts";

// As a 6.1 kernel prints them.
const table = `Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP 0A01000A A1B2 0A020064 0050 0A020015 0050 ESTABLISHED     899
UDP 0A01000A C001 0A020064 0035 0A020016 0035 UDP             300
TCP 0A01000A 0000 0A020064 0050 0A020015 0050 NONE            117`;

test("entries are read with their destination's key; headings and templates are not entries", () => {
  const base = { client: "10.1.0.10" };
  expect(table.split("\n").map(parseConnection)).toEqual([
    undefined,
    {
      ...base,
      protocol: "tcp",
      clientPort: 0xa1b2,
      destination: "ipvsDestination tcp 10.2.0.100 80 > 10.2.0.21 80",
      state: "ESTABLISHED",
      expiresInSeconds: 899,
    },
    {
      ...base,
      protocol: "udp",
      clientPort: 0xc001,
      destination: "ipvsDestination udp 10.2.0.100 53 > 10.2.0.22 53",
      state: "UDP",
      expiresInSeconds: 300,
    },
    undefined,
  ]);
});
