import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { eachConnection, parseEntry, readConnections } from "./connections.ts";

// As a 6.1 kernel prints them.
const table = `Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData
TCP 0A01000A A1B2 0A020064 0050 0A020015 0050 ESTABLISHED     899
UDP 0A01000A C001 0A020064 0035 0A020016 0035 UDP             300
TCP 0A01000A 0000 0A020064 0050 0A020015 0050 NONE            117
IP  0A01000A 0000 00005452 0000 0A020015 0000 NONE            117
TCP 2001:0db8:0001:0000:0000:0000:0000:000a A1B2 2001:0db8:0002:0000:0000:0000:0000:0064 0050 2001:0db8:0002:0000:0000:0000:0000:0015 0050 FIN_WAIT         59`;

const folder = mkdtempSync(join(tmpdir(), "trigon-connections-"));
const file = join(folder, "ip_vs_conn");
writeFileSync(file, table);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("entries of both families and templates are read; the heading and templates of firewall marks are not entries", () => {
  const four = { client: "10.1.0.10", address: "10.2.0.100" };
  expect(table.split("\n").map(parseEntry)).toEqual([
    undefined,
    {
      ...four,
      ...{ protocol: "tcp", clientPort: 0xa1b2, port: 80, destination: { address: "10.2.0.21", port: 80 } },
      ...{ state: "ESTABLISHED", expiresInSeconds: 899 },
    },
    {
      ...four,
      ...{ protocol: "udp", clientPort: 0xc001, port: 53, destination: { address: "10.2.0.22", port: 53 } },
      ...{ state: "UDP", expiresInSeconds: 300 },
    },
    {
      ...four,
      ...{ protocol: "tcp", clientPort: null, port: 80, destination: { address: "10.2.0.21", port: 80 } },
      ...{ state: "NONE", expiresInSeconds: 117 },
    },
    undefined,
    {
      ...{ protocol: "tcp", client: "2001:db8:1::a", clientPort: 0xa1b2, address: "2001:db8:2::64", port: 80 },
      ...{ destination: { address: "2001:db8:2::15", port: 80 }, state: "FIN_WAIT", expiresInSeconds: 59 },
    },
  ]);
});

test("connections are found by their destination's key, in both families, without templates", async () => {
  const keys = ["ipvsDestination tcp 10.2.0.100 80 > 10.2.0.21 80", "ipvsDestination tcp 2001:db8:2::64 80 > 2001:db8:2::15 80"];
  const found = await readConnections(keys, file);
  expect(found.map(({ client, clientPort, destination }) => [client, clientPort, destination])).toEqual([
    ["10.1.0.10", 0xa1b2, keys[0]],
    ["2001:db8:1::a", 0xa1b2, keys[1]],
  ]);
});

test("whoever has enough is shown no more, and no table is no connections", async () => {
  const seen: string[] = [];
  const visit = ({ state }: { state: string }) => (seen.push(state) === 2 ? ("enough" as const) : undefined);
  await eachConnection(visit, file);
  expect(seen).toEqual(["ESTABLISHED", "UDP"]);
  await eachConnection(visit, join(folder, "none"));
  expect(seen).toHaveLength(2);
});
