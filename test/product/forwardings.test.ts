import {
  arpHolders,
  byteShare,
  capture,
  differences,
  fetchAnswers,
  type HttpAnswer,
  type LabHost,
  type Snapshot,
  snapshot,
  until,
  useRealFrames,
} from "@trigon/lab";
import type { Forwarding, VirtualServiceInput, VirtualServiceView } from "@trigon/model";
import { beforeAll, describe, expect, test } from "vitest";
import { demoNodes, demoServices, hostOfRip } from "../../infra/demo/services.ts";
import { createService } from "../../infra/demo/world.ts";
import { deleteService, useWorld } from "./use-world.ts";

const byDip: VirtualServiceInput = {
  name: "web-fullnat-dip",
  vip: "10.2.0.104",
  port: 80,
  forwarding: "fullnat",
  snatSource: "dip",
  scheduler: "rr",
  realServers: [
    { rip: "10.4.0.25", port: 8080 },
    { rip: "10.4.0.26", port: 8080 },
  ],
};
const vips = { dr: "10.2.0.100", tun: "10.2.0.101", nat: "10.2.0.102", fullnat: "10.2.0.103" } as const satisfies Record<
  Forwarding,
  string
>;
const client = "10.1.0.10";
const director = "10.2.0.11";

describe("the four forwardings, from the REST API to packets", { timeout: 600_000 }, () => {
  const world = useWorld();
  const host = (name: string) => world.lab.host(name);
  const found = new Map<string, Snapshot>();
  const services: VirtualServiceView[] = [];
  const ask = (vip: string, count = 6): Promise<HttpAnswer[]> => fetchAnswers(host("client"), `${vip}:80`, { count });
  const servers = (answers: readonly HttpAnswer[]) => [...new Set(answers.map((answer) => answer.server))].sort();
  const sources = (answers: readonly HttpAnswer[]) => [...new Set(answers.map(({ src }) => src))].sort();
  const expected = (forwarding: Forwarding) =>
    demoServices
      .flatMap((service) => (service.forwarding === forwarding ? (service.realServers ?? []) : []))
      .map(({ rip }) => hostOfRip[rip]);

  beforeAll(async () => {
    // Kernel modules stay by design, and with them their settings and fallback devices: they are there before the snapshots.
    await host("dir1").sh("modprobe -a ip_vs ip_vs_rr nf_conntrack xt_ipvs ipip", { allowFailure: true });
    await useRealFrames(world.lab);
    for (const node of demoNodes) found.set(node.host, await snapshot(host(node.host)));
    for (const service of [...demoServices, byDip]) services.push(await createService(world.api, service));
  }, 600_000);

  test("one MAC answers for each VIP, the director's: its real servers are silent though they hold it", async () => {
    for (const name of expected("dr")) {
      const held = await host(name!).json<{ addr_info: { local: string }[] }[]>(["ip", "-j", "addr", "show", "dev", "lo"]);
      expect(held.flatMap(({ addr_info }) => addr_info.map(({ local }) => local))).toContain(vips.dr);
    }
    const mac = host("dir1").mac("eth0");
    for (const { vip } of services) expect(await arpHolders(host("router"), "eth1", vip, { seconds: 1 })).toEqual([mac]);
  });

  test("DR: the real servers see the client, and reply as the VIP past the director", async () => {
    const atDirector = await capture(host("dir1"), `src host ${vips.dr} and dst host ${client} and tcp src port 80`);
    const atRouter = await capture(host("router"), `src host ${vips.dr} and tcp src port 80`, "eth1");
    const answers = await ask(vips.dr);
    expect(answers).toHaveLength(6);
    expect(servers(answers)).toEqual(expected("dr"));
    for (const { src, dst } of answers) expect({ src, dst }).toEqual({ src: client, dst: `${vips.dr}:80` });
    await atRouter.waitFor(/10\.2\.0\.100\.80 > 10\.1\.0\.10\./);
    const macs = expected("dr").map((name) => host(name!).mac("eth0"));
    for (const { line } of await atRouter.stop()) expect(macs).toContain(line.split(" ")[0]);
    expect(await atDirector.stop()).toEqual([]);
  });

  test("Tunnel: a real server on another subnet sees the client; only requests pass the director, wrapped in IP", async () => {
    const wrapped = await capture(host("rs4"), "ip proto 4", "eth0");
    const replies = await capture(host("rs4"), `src host ${vips.tun} and tcp src port 80`, "eth0");
    const atDirector = await capture(host("dir1"), `src host ${vips.tun} and dst host ${client} and tcp src port 80`);
    const answers = await ask(vips.tun);
    expect(answers).toHaveLength(6);
    expect(servers(answers)).toEqual(["rs1", "rs4"]);
    for (const { src, dst } of answers) expect({ src, dst }).toEqual({ src: client, dst: `${vips.tun}:80` });
    await wrapped.waitFor(/10\.2\.0\.11 > 10\.3\.0\.24: .*10\.1\.0\.10\.\d+ > 10\.2\.0\.101\.80/);
    await replies.waitFor(/10\.2\.0\.101\.80 > 10\.1\.0\.10\./);
    await Promise.all([wrapped.stop(), replies.stop()]);
    expect(await atDirector.stop()).toEqual([]);
  });

  test("Tunnel: own devices only, with an address and loose reverse path filter; the device of strangers stays down", async () => {
    type Link = {
      ifname: string;
      flags: string[];
      linkinfo?: { info_kind?: string; info_data?: { remote?: string; local?: string } };
    };
    for (const [name, rip] of [
      ["rs4", "10.3.0.24"],
      ["rs1", "10.2.0.21"],
    ] as const) {
      const links = await host(name).json<Link[]>(["ip", "-d", "-j", "link"]);
      expect(links.find(({ ifname }) => ifname === "tunl0")?.flags ?? []).not.toContain("UP");
      const own = links.filter(({ ifname }) => ifname.startsWith("trg-"));
      expect(own.map(({ linkinfo }) => linkinfo?.info_data)).toContainEqual(
        expect.objectContaining({ local: rip, remote: director }),
      );
      for (const { ifname, flags } of own) {
        expect(flags).toContain("UP");
        const [held] = await host(name).json<{ addr_info: { family: string }[] }[]>(["ip", "-j", "addr", "show", "dev", ifname]);
        expect(held?.addr_info.map(({ family }) => family)).toContain("inet");
        expect((await host(name).readFile(`/proc/sys/net/ipv4/conf/${ifname}/rp_filter`)).toString().trim()).toBe("2");
      }
    }
  });

  test("NAT: VIP:80 becomes RIP:8080, and the real servers see the client", async () => {
    const answers = await ask(vips.nat);
    expect(answers).toHaveLength(6);
    expect(servers(answers)).toEqual(["rs5", "rs6"]);
    expect(sources(answers)).toEqual([client]);
    expect([...new Set(answers.map(({ dst }) => dst))].sort()).toEqual(["10.4.0.25:8080", "10.4.0.26:8080"]);
  });

  test("full NAT: the real servers see the balancer, by the VIP or by its own address", async () => {
    const byVip = await ask(vips.fullnat);
    expect(byVip).toHaveLength(6);
    expect(servers(byVip)).toEqual(["rs2", "rs3"]);
    expect(sources(byVip)).toEqual([vips.fullnat]);
    const own = await ask(byDip.vip);
    expect(own).toHaveLength(6);
    expect(servers(own)).toEqual(["rs5", "rs6"]);
    expect(sources(own)).toEqual(["10.4.0.11"]);
  });

  test("the director's share of 10 kB requests and 90 kB replies: about a tenth without replies, all with them", async () => {
    const mix = { count: 20, requestBytes: 10_000, replyBytes: 90_000 };
    const shares = {} as Record<Forwarding, number>;
    for (const forwarding of ["dr", "tun", "nat", "fullnat"] as const) {
      const target = `${vips[forwarding]}:80`;
      const { share, servers: answered } = await byteShare({ client: host("client"), director: host("dir1"), target, ...mix });
      expect(Object.keys(answered).sort()).toEqual(expected(forwarding).toSorted());
      shares[forwarding] = share;
    }
    const lines = Object.entries(shares).map(([forwarding, share]) => `${forwarding.padEnd(8)} ${(100 * share).toFixed(1)} %`);
    console.log(`the director's share of the bytes\n${lines.join("\n")}`);
    for (const forwarding of ["dr", "tun"] as const) {
      expect(shares[forwarding]).toBeGreaterThan(0.05);
      expect(shares[forwarding]).toBeLessThan(0.2);
    }
    for (const forwarding of ["nat", "fullnat"] as const) expect(shares[forwarding]).toBeGreaterThan(0.9);
  });

  test("removing a service takes its VIP off every node, and leaves the others at work", async () => {
    const removed = services.shift()!;
    await deleteService(world.api, removed.id);
    for (const { host: name } of demoNodes)
      await until(`nothing of ${removed.vip} on ${name}`, async () => !(await mentions(host(name), removed.vip)), {
        deadlineMs: 120_000,
        everyMs: 250,
      });
    expect(await arpHolders(host("router"), "eth1", removed.vip)).toEqual([]);
    for (const { vip } of services) expect(await ask(vip, 2)).toHaveLength(2);
  });

  test("removing every service leaves each node as it was before the first", async () => {
    for (const { id } of services) await deleteService(world.api, id);
    for (const { host: name } of demoNodes) {
      let left: string[] = [];
      await until(
        `${name} to be as found`,
        async () => {
          left = differences(found.get(name)!, await snapshot(host(name)));
          return left.length === 0;
        },
        { deadlineMs: 200_000, everyMs: 1000 },
      ).catch(() => undefined);
      expect(left, name).toEqual([]);
    }
  });
});

/** Whether an address is in any table where a service puts it. */
async function mentions(host: LabHost, vip: string): Promise<boolean> {
  const tables = "ip -br addr; ip route show table all; ipvsadm -Sn; iptables-legacy-save; iptables-nft-save";
  const text = await host.sh(`{ ${tables}; } 2>/dev/null`, { allowFailure: true });
  return new RegExp(`${vip.replaceAll(".", "\\.")}(?!\\d)`).test(text);
}
