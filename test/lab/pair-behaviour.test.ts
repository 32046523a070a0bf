import { join } from "node:path";
import { fetchAnswers, type LabHost, type Load, runLoad, startLoad, until } from "@trigon/lab";
import type { takeoverKinds } from "@trigon/model";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fragmentsOf, startAgent } from "./agent.ts";
import { bindSilently, type Director, holdersOf, isFit, killKeepalived, other, startPair } from "./pair-setup.ts";
import { useLab } from "./use-lab.ts";

type Kind = (typeof takeoverKinds)[number];

const vips = { tcp: "10.2.0.100", persistence: "10.2.0.101", onePacket: "10.2.0.102", udp: "10.2.0.103", fullNat: "10.2.0.104" };
const real = { rs1: "10.2.0.21", rs2: "10.2.0.22" };
const port = 5300;
/** Odd, so that packets scheduled in turn do not come to the same real server again with each round. */
const flows = 7;

/** Answers every datagram with the host's name, from the address that was asked. */
const nameServer = `
import select, socket, sys
sockets = []
for address in sys.argv[1:]:
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); own.bind((address, ${port})); sockets.append(own)
name = socket.gethostname().encode()
while True:
    for own in select.select(sockets, [], [])[0]:
        _, source = own.recvfrom(2048); own.sendto(name, source)
`;
/** Sends each of ${flows} flows, told by their source ports, ten datagrams, and prints who answered each. */
const asker = `
import socket, sys, time
flows = []
for number in range(${flows}):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("", 41000 + number)); s.connect((sys.argv[1], ${port})); s.settimeout(1); flows.append((s, []))
for round in range(10):
    for s, names in flows:
        s.send(b"?")
        try: names.append(s.recv(64).decode())
        except OSError: pass
    time.sleep(0.1)
print(";".join(",".join(names) for s, names in flows))
`;

// The rows of the console's help, each as a client sees it over one takeover.
describe("what a takeover keeps and loses", { timeout: 300_000 }, () => {
  const lab = useLab();
  const host = (name: string): LabHost => lab.host(name);
  const client = () => host("client");
  const serviceOf = (vip: string, change: object = {}, shape: { forwarding?: "dr" | "fullnat"; port?: number } = {}) => {
    const realServers = Object.entries(real).map(([name, rip]) => ({ host: name, rip }));
    const { service, vip: held } = fragmentsOf({ vip, forwarding: "dr", allow: [], realServers, ...shape });
    return { service: { ...service, ...change }, vip: held };
  };
  const services = [
    serviceOf(vips.tcp),
    serviceOf(vips.persistence, { persistence: { timeoutSeconds: 300, granularity: 32 } }),
    serviceOf(vips.onePacket, { protocol: "udp", onePacket: true }, { port }),
    serviceOf(vips.udp, { protocol: "udp" }, { port }),
    serviceOf(vips.fullNat, {}, { forwarding: "fullnat" }),
  ];
  const serversOf = async (vip: string, count = 4) => [
    ...new Set((await fetchAnswers(client(), `${vip}:80`, { count, timeoutSeconds: 3 })).map(({ server }) => server)),
  ];
  /** Who answered each flow's datagrams. */
  const askedBy = async (vip: string) =>
    (await client().sh(`python3 -c '${asker}' ${vip}`, { timeoutMs: 60_000 }))
      .split(";")
      .map((names) => names.split(",").filter(Boolean));
  const before: { persistent: string[]; udp: string[][] } = { persistent: [], udp: [] };
  const loads: Partial<Record<"tcp" | "fullNat", Load>> = {};
  let from: Director;

  beforeAll(async () => {
    for (const name of Object.keys(real)) {
      for (const vip of [vips.tcp, vips.persistence, vips.onePacket, vips.udp]) await bindSilently(host(name), vip);
      await host(name).writeFile("/run/names.py", nameServer);
      await host(name).sh(`setsid nohup python3 -IS /run/names.py ${vips.onePacket} ${vips.udp} >/dev/null 2>&1 </dev/null &`);
    }
    await startPair(lab, services);
    from = (await holdersOf(lab, vips.tcp))[0]!;
    loads.tcp = await startLoad(client(), { targets: [`${vips.tcp}:80`], held: 8 });
    loads.fullNat = await startLoad(client(), { targets: [`${vips.fullNat}:80`], held: 4 });
    before.persistent = await serversOf(vips.persistence);
    before.udp = await askedBy(vips.udp);
    // Of TCP, UDP and the template: what the peer's kernel has been told.
    const known = async () => {
      const table = await host(other(from)).sh("ipvsadm -Lnc");
      const has = (text: string) => table.split("\n").filter((line) => line.includes(text)).length;
      return (
        has(`${vips.tcp}:80`) >= 8 && has(`${vips.udp}:${port}`) >= flows && has(`:0 `) > 0 && table.includes("10.1.0.10:0 ")
      );
    };
    await until("the peer to know them", known, { deadlineMs: 60_000, everyMs: 250 });
    await killKeepalived(host(from));
    await until("the peer to hold the VIPs", async () => (await holdersOf(lab, vips.tcp)).join() === other(from), {
      deadlineMs: 30_000,
      everyMs: 100,
    });
  }, 300_000);
  afterAll(async () => {
    for (const name of Object.keys(real)) await host(name).sh("pkill -f /run/names.py", { allowFailure: true });
  });

  const rows: Record<Kind, () => Promise<void>> = {
    // Connections that have exchanged data go on.
    tcp: async () => {
      expect(await serversOf(vips.tcp, 6)).toHaveLength(2);
      // A connection that is silent for three seconds is one that was lost: so long new ones are made.
      expect((await runLoad(client(), { targets: [`${vips.tcp}:80`], seconds: 5, rate: 5 })).failed).toBe(0);
      expect((await loads.tcp!.stop()).heldFailed).toBe(0);
    },
    // Established ones are lost: their source's translation stays with the former holder. New ones go on.
    fullNat: async () => {
      expect((await serversOf(vips.fullNat, 6)).length).toBeGreaterThan(0);
      await until("established ones to be lost", () => loads.fullNat!.failures.length >= 4, { deadlineMs: 30_000 });
      await loads.fullNat!.stop();
    },
    // A client comes to the same real server again.
    persistence: async () => {
      expect(before.persistent).toHaveLength(1);
      expect(await serversOf(vips.persistence, 6)).toEqual(before.persistent);
    },
    // Flows of more than a few packets stay with their real server.
    udp: async () => {
      const after = await askedBy(vips.udp);
      const first = (names: string[][]) => names.map((one) => [...new Set(one)].join());
      expect(new Set(first(before.udp)).size).toBe(2);
      expect(first(after)).toEqual(first(before.udp));
    },
    // Every packet is scheduled by itself.
    onePacket: async () => {
      const after = await askedBy(vips.onePacket);
      expect(after.flat()).toHaveLength(flows * 10);
      for (const names of after) expect(new Set(names).size).toBe(2);
    },
    // A member that joins late is told of connections that exchange packets, and of none that is idle since before.
    late: async () => {
      const standby = from;
      await lab.rebuildHost(standby);
      const idle = await client().spawn([join(import.meta.dirname, "guards/hold.py"), vips.tcp, "80"], { stdin: true });
      const busy = await startLoad(client(), { targets: [`${vips.tcp}:80`], held: 4 });
      const portsOf = async (name: string) =>
        new Set(
          (await host(name).sh("ipvsadm -Lnc")).split("\n").flatMap((line) => {
            const found = new RegExp(`ESTABLISHED 10\\.1\\.0\\.10:(\\d+) +${vips.tcp.replaceAll(".", "\\.")}:80`).exec(line);
            return found ? [found[1]!] : [];
          }),
        );
      await until("five connections", async () => (await portsOf(other(standby))).size >= 5, { deadlineMs: 30_000 });
      await startAgent(host(standby));
      await until("both fit", () => isFit(lab), { deadlineMs: 60_000, everyMs: 250 });
      await until("the busy ones to be known", async () => (await portsOf(standby)).size >= 4, { deadlineMs: 60_000 });
      const [all, told] = [await portsOf(other(standby)), await portsOf(standby)];
      expect([...all].filter((one) => !told.has(one)).length).toBeGreaterThan(0);
      await idle.kill();
      expect((await busy.stop()).heldFailed).toBe(0);
    },
  };
  test.each(Object.entries(rows))("%s", (_, row) => row());
});
