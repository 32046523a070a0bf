import { join } from "node:path";
import { capture, differences, fetchAnswers, type LabProcess, type Snapshot, snapshot, until } from "@trigon/lab";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { applyPlan, fragmentsOf, installAgent, ipvsTable } from "./agent.ts";
import { useLab } from "./use-lab.ts";

const realServers = [
  { host: "rs3", rip: "10.2.0.23" },
  { host: "rs4", rip: "10.3.0.24" },
];
const cases = [
  { encapsulation: "ipip", vip: "10.2.0.110", outer: "ip proto 4", shown: /-i -w 1 --tun-type ipip|-i -w 1$/ },
  { encapsulation: "gre", vip: "10.2.0.111", outer: "ip proto 47", shown: /-i -w 1 --tun-type gre / },
  { encapsulation: "gue", vip: "10.2.0.112", outer: "udp dst port 6080", shown: /-i -w 1 --tun-type gue --tun-port 6080 / },
] as const;
const services = cases.map(({ encapsulation, vip }) => fragmentsOf({ vip, forwarding: "tun", realServers, encapsulation }));
const openPort = 5300;

describe("every encapsulation of Tunnel, side by side", { timeout: 300_000 }, () => {
  const lab = useLab();
  const nodes = ["dir1", "rs3", "rs4"] as const;
  const found = new Map<string, Snapshot>();
  let listener: LabProcess | undefined;
  let heard: string[] = [];

  beforeAll(async () => {
    for (const node of nodes) found.set(node, await snapshot(lab.host(node)));
    await installAgent(...nodes.map((node) => lab.host(node)));
    for (const node of ["rs3", "rs4"])
      await applyPlan(
        lab.host(node),
        services.map((service) => service.realServer(node)),
      );
    await applyPlan(
      lab.host("dir1"),
      services.flatMap(({ service, vip }) => [service, vip]),
    );
    let text = "";
    listener = await lab.host("rs4").spawn([join(import.meta.dirname, "../product/tools/udp-listen.py"), String(openPort)], {
      onStdout: (chunk) => {
        text += chunk;
        heard = text.split("\n").filter(Boolean);
      },
    });
    await until("a UDP socket on rs4", () => heard.includes("listening"));
  }, 300_000);
  afterAll(async () => {
    listener?.signal(15);
    await listener?.exited;
  });

  test.each(cases)("$encapsulation wraps what passes between director and real server, and nothing else", async (one) => {
    const wrapped = await capture(lab.host("rs4"), `${one.outer} and src host 10.2.0.11`, "eth0");
    const answers = await fetchAnswers(lab.host("client"), `${one.vip}:80`, { count: 6 });
    expect(answers).toHaveLength(6);
    expect([...new Set(answers.map(({ server }) => server))].sort()).toEqual(["rs3", "rs4"]);
    for (const { src, dst } of answers) expect({ src, dst }).toEqual({ src: "10.1.0.10", dst: `${one.vip}:80` });
    await until("wrapped packets on the wire", () => wrapped.packets.length > 0);
    await wrapped.stop();
    for (const line of (await ipvsTable(lab.host("dir1"))).filter((text) => text.startsWith(`-a -t ${one.vip}`)))
      expect(line).toMatch(one.shown);
  });

  /** Sends a datagram to GUE's port that holds what it says, then a plain one; answers what the open socket heard of the first. */
  async function heardOf(proto: "ipip" | "udp"): Promise<string[]> {
    const before = heard.length;
    const arrived = await capture(lab.host("rs4"), "udp dst port 6080 and src host 10.1.0.10", "eth0");
    await lab.host("client").exec(["python3", "-c", stranger, proto, "10.3.0.24", String(openPort)]);
    await until("the stranger's packet on the wire", () => arrived.packets.length > 0);
    await arrived.stop();
    const script = `import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"plain", ("10.3.0.24", ${openPort}))`;
    await lab.host("client").exec(["python3", "-c", script]);
    await until("the plain datagram", () => heard.slice(before).some((line) => line.endsWith(" plain")));
    return heard.slice(before).filter((line) => !line.endsWith(" plain"));
  }

  test("a stranger's GUE reaches nothing, whatever it holds; without our rules it would", async () => {
    expect(await heardOf("ipip")).toEqual([]);
    expect(await heardOf("udp")).toEqual([]);
    await lab.host("rs4").sh("$(command -v iptables-legacy || command -v iptables) -t raw -F TRIGON-PREROUTING");
    expect((await heardOf("udp")).join()).toContain("crafted");
  });

  test("uninstall leaves every host as it was found", async () => {
    for (const node of nodes) {
      await lab.host(node).sh("trigon-agent uninstall", { timeoutMs: 120_000 });
      expect(differences(found.get(node)!, await snapshot(lab.host(node)))).toEqual([]);
    }
    expect((await lab.host("rs4").sh("ip fou show", { allowFailure: true })).trim()).toBe("");
  });
});

/** A datagram of GUE (version 0, no options): `proto` says whether an IP packet for the port follows, or UDP at once. */
const stranger = `
import socket, struct, sys
kind, rip, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
data = b"crafted"
udp = struct.pack("!HHHH", 1234, port, 8 + len(data), 0) + data
ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, socket.inet_aton("10.1.0.10"), socket.inet_aton(rip))
words = struct.unpack("!10H", ip)
total = sum(words)
while total >> 16: total = (total & 0xffff) + (total >> 16)
ip = ip[:10] + struct.pack("!H", ~total & 0xffff) + ip[12:]
number, inner = (4, ip + udp) if kind == "ipip" else (17, udp)
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(struct.pack("!BBH", 0, number, 0) + inner, (rip, 6080))
`;
