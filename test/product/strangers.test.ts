import { join } from "node:path";
import { capture, fetchAnswers, type LabHost, type LabProcess, until } from "@trigon/lab";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { demoServices, hostOfRip } from "../../infra/demo/services.ts";
import { createService } from "../../infra/demo/world.ts";
import { useWorld } from "./use-world.ts";

const tool = (name: string) => join(import.meta.dirname, "tools", name);
const tunnel = demoServices.find(({ forwarding }) => forwarding === "tun")!;
const { vip } = tunnel;
const director = "10.2.0.11";
const client = "10.1.0.10";
const openPort = 5300;
const echoId = 7777;
const synPort = 4321;

/** The packet inside. `port` of an echo request is its identifier. */
interface Inner {
  kind: "udp" | "syn" | "icmp";
  to: string;
  port: number;
}

describe("strangers who speak IP-in-IP to a real server of a Tunnel service", () => {
  const world = useWorld();
  const host = (name: string) => world.lab.host(name);
  const listeners: LabProcess[] = [];
  const heard = new Map<string, string[]>();
  /** A UDP socket open to every address of a real server, on a port that nobody published. */
  async function listen(name: string): Promise<void> {
    let text = "";
    const process = await host(name).spawn([tool("udp-listen.py"), String(openPort)], {
      onStdout: (chunk) => {
        text += chunk;
        heard.set(name, text.split("\n").filter(Boolean));
      },
    });
    listeners.push(process);
    await until(`a UDP socket on ${name}`, () => heard.get(name)?.includes("listening"));
  }

  beforeAll(async () => {
    await createService(world.api, tunnel);
    await listen("rs1");
    await listen("rs4");
  });
  afterAll(async () => {
    for (const process of listeners) process.signal(15);
    await Promise.all(listeners.map(({ exited }) => exited));
  });

  /**
   * Sends crafted packets to a RIP, each known to have arrived on the real server's wire, then a plain datagram and a plain ping, which the
   * kernel takes after them. Answers what was delivered of the crafted ones: datagrams, and replies of any address.
   */
  async function deliveredOf(from: string, outerSource: string, rip: string, inners: readonly Inner[]): Promise<string[]> {
    const name = hostOfRip[rip]!;
    const before = heard.get(name)!.length;
    const outer = await capture(host(name), "ip proto 4", "eth0");
    const replies = await capture(host(name), `icmp or (tcp and src port 80 and dst port ${synPort})`, "eth0");
    for (const { kind, to, port } of inners) {
      await host(from).exec([tool("stranger.py"), outerSource, rip, client, to, kind, String(port), `crafted for ${to}`]);
      const inside = { udp: `${to}.${port}: UDP`, syn: `${to}.${port}: Flags`, icmp: `${to}: ICMP` }[kind];
      await until(`the crafted packet on ${name}`, () =>
        outer.packets.some(({ line }) => line.includes(`${outerSource} > ${rip}: `) && line.includes(` > ${inside}`)),
      );
    }
    await sayPlainly(host("client"), rip);
    const isPlain = (line: string) => line.endsWith(" plain");
    await until(`the plain datagram on ${name}`, () => heard.get(name)!.slice(before).some(isPlain));
    await replies.waitFor(/ICMP echo reply/, 20_000);
    await outer.stop();
    const isReply = (line: string) => line.includes(`echo reply, id ${echoId},`) || line.includes(`.80 > ${client}.${synPort}`);
    const datagrams = heard
      .get(name)!
      .slice(before)
      .filter((line) => !isPlain(line));
    return [...datagrams, ...(await replies.stop()).map(({ line }) => line).filter(isReply)];
  }

  async function sayPlainly(from: LabHost, rip: string): Promise<void> {
    const script = `import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"plain", ("${rip}", ${openPort}))`;
    await from.exec(["python3", "-c", script]);
    await from.sh(`ping -c 1 -W 5 ${rip}`);
  }

  const unpublished = (rip: string): Inner[] => [
    { kind: "udp", to: vip, port: openPort },
    { kind: "icmp", to: vip, port: echoId },
    { kind: "udp", to: rip, port: openPort },
    { kind: "icmp", to: rip, port: echoId },
    { kind: "syn", to: rip, port: 80 },
  ];
  const published: Inner = { kind: "syn", to: vip, port: 80 };

  test("the real way works", async () => {
    const answers = await fetchAnswers(host("client"), `${vip}:80`, { count: 4 });
    expect([...new Set(answers.map(({ server }) => server))].sort()).toEqual(["rs1", "rs4"]);
    for (const { src } of answers) expect(src).toBe(client);
  });

  test("from its own address a stranger reaches nothing: no address, no port, not even the service", async () => {
    for (const rip of ["10.3.0.24", "10.2.0.21"])
      expect(await deliveredOf("client", client, rip, [...unpublished(rip), published])).toEqual([]);
  });

  test("a stranger that forges the director's address reaches nothing but what the director publishes", async () => {
    for (const rip of ["10.3.0.24", "10.2.0.21"])
      expect(await deliveredOf("client", director, rip, unpublished(rip))).toEqual([]);
  });

  test("a neighbour on the director's link that forges its address does not reach the service either", async () => {
    expect(await deliveredOf("router", director, "10.2.0.21", [...unpublished("10.2.0.21"), published])).toEqual([]);
  });

  test("behind a router a forged packet to the published port looks like the director's own: it is taken, as anyone's packet to the VIP is", async () => {
    const delivered = await deliveredOf("client", director, "10.3.0.24", [published]);
    expect(delivered.length).toBeGreaterThan(0);
    for (const line of delivered) expect(line).toContain(`${vip}.80 > ${client}.${synPort}`);
  });
});
