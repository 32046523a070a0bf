import { expect, test } from "vitest";
import { topologyFile } from "./paths.ts";
import { layOut, readTopology, Topology, type TopologyInput } from "./topology.ts";

const problems = (topology: TopologyInput) =>
  Topology.safeParse(topology).error?.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
const host = (name: string, address: string, segment = "lan") => ({
  name,
  links: [{ ifname: "eth0", segment, addresses: [address] }],
});

test("the demo topology has a client, a router, two directors, three near servers, one far and two behind the director", () => {
  const demo = readTopology(topologyFile("demo"));
  expect(demo.hosts.map(({ name }) => name)).toEqual([
    "client",
    "router",
    "dir1",
    "dir2",
    "rs1",
    "rs2",
    "rs3",
    "rs4",
    "rs5",
    "rs6",
  ]);
  const directorAddresses = demo.hosts.find(({ name }) => name === "dir1")!.links.flatMap(({ addresses }) => addresses);
  for (const name of ["rs5", "rs6"]) {
    const gateway = demo.hosts.find((candidate) => candidate.name === name)!.routes[0]!.replace("default via ", "");
    expect(directorAddresses).toContain(`${gateway}/24`);
  }
});

test("two hosts of one name, and an address twice on one segment, are refused", () => {
  expect(problems({ hosts: [host("a", "10.0.0.1/24"), host("a", "10.0.0.1/24")] })).toEqual([
    "hosts.1.name: two hosts are called a",
    "hosts.1.links.0.addresses: 10.0.0.1/24 is also on a",
  ]);
  expect(problems({ hosts: [host("a", "10.0.0.1/24"), host("b", "10.0.0.1/24", "far")] })).toBeUndefined();
});

test("a wrong address, a too long interface name, the lab's own link and an unknown field are refused by name", () => {
  expect(problems({ hosts: [host("a", "10.0.0.300/24")] })?.[0]).toMatch(
    /^hosts.0.links.0.addresses.0: an address with its prefix/,
  );
  expect(problems({ hosts: [host("a", "10.0.0.1/33")] })).toHaveLength(1);
  expect(problems({ hosts: [{ name: "a", links: [{ ifname: "a234567890123456", segment: "lan" }] }] })?.[0]).toMatch(
    /^hosts.0.links.0.ifname/,
  );
  expect(problems({ hosts: [{ name: "a", links: [{ ifname: "mgmt0", segment: "lan" }] }] })?.[0]).toMatch(
    /mgmt0 belongs to the lab/,
  );
  expect(problems({ hosts: [{ ...host("a", "10.0.0.1/24"), route: [] } as never] })?.[0]).toMatch(/route/);
});

test("MAC addresses and management addresses are fixed by position, and the management link comes first", () => {
  const laid = layOut(Topology.parse({ hosts: [host("a", "10.0.0.1/24"), host("b", "10.0.0.2/24")] }));
  expect(laid.map(({ management, links }) => [management, ...links.map(({ ifname, mac }) => `${ifname} ${mac}`)])).toEqual([
    ["10.255.0.101", "mgmt0 02:54:52:00:01:00", "eth0 02:54:52:00:01:01"],
    ["10.255.0.102", "mgmt0 02:54:52:00:02:00", "eth0 02:54:52:00:02:01"],
  ]);
});

test("an httpd service is the lab's web server with the host's name", () => {
  const [laid] = layOut(
    Topology.parse({ hosts: [{ name: "a", services: [{ httpd: ["0.0.0.0:80"] }, { name: "x", command: ["true"] }] }] }),
  );
  expect(laid!.services).toEqual([
    { name: "httpd", command: [expect.stringMatching(/\/tools\/httpd\.py$/), "a", "0.0.0.0:80"], says: "listening" },
    { name: "x", command: ["true"] },
  ]);
});
