import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CodecError } from "../codec.ts";
import { RouteClient } from "./client.ts";
import { parsePrefix } from "./header.ts";

describe("prefixes", () => {
  test("a bare address is a host, a length has its family's bounds", () => {
    expect(parsePrefix("10.0.0.0/8")).toEqual({ family: "inet", address: "10.0.0.0", length: 8 });
    expect(parsePrefix("2001:db8::1")).toEqual({ family: "inet6", address: "2001:db8::1", length: 128 });
    expect(parsePrefix("::/0").length).toBe(0);
    for (const wrong of ["10.0.0.0/33", "10.0.0/8", "default", "::1/x"]) expect(() => parsePrefix(wrong)).toThrow(CodecError);
  });
});

describe.skipIf(!existsSync("/proc/net/netlink"))("this machine, read only", () => {
  let client: RouteClient;
  beforeAll(() => {
    client = RouteClient.open();
  });
  afterAll(() => client.close());

  const loopbackAddresses = () => networkInterfaces().lo?.map(({ address }) => address) ?? [];

  test("lists the links that iproute2 lists", async () => {
    const oracle = JSON.parse(execFileSync("ip", ["-j", "link"], { encoding: "utf8" })) as {
      ifindex: number;
      ifname: string;
      mtu: number;
    }[];
    const links = await client.listLinks();
    expect(links.map(({ index, name, mtu }) => ({ ifindex: index, ifname: name, mtu }))).toEqual(
      oracle.map(({ ifindex, ifname, mtu }) => ({ ifindex, ifname, mtu })),
    );
  });

  test("finds a link by name and by index, and none as undefined", async () => {
    const lo = await client.getLink("lo");
    expect(lo).toMatchObject({ index: 1, name: "lo", up: true });
    expect(await client.getLink(1)).toMatchObject({ name: "lo" });
    expect(await client.getLink("nosuchlink")).toBeUndefined();
  });

  test("lists the loopback's addresses", async () => {
    const addresses = await client.listAddresses({ index: 1 });
    expect(addresses.map(({ address }) => address).sort()).toEqual(loopbackAddresses().sort());
  });

  test("many questions at once are answered each with its own", async () => {
    const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => (i % 2 ? client.listLinks() : client.listRoutes())));
    expect(
      answers.filter((_, i) => i % 2).every((links) => JSON.stringify(links, names) === JSON.stringify(answers[1], names)),
    ).toBe(true);
  });
  const names = ["name", "index"];
});
