import { join } from "node:path";
import { type LabHost, until } from "@trigon/lab";
import { beforeAll, describe, expect, test } from "vitest";
import { applyPlan, fragmentsOf, installAgent } from "./agent.ts";
import { bindSilently } from "./pair-setup.ts";
import { useLab } from "./use-lab.ts";

const vip = "10.2.0.100";
const datagramPort = 5300;
const realServers = [
  { host: "rs1", rip: "10.2.0.21" },
  { host: "rs2", rip: "10.2.0.22" },
] as const;
const tools = join(import.meta.dirname, "guards");

/** Answers every datagram to the VIP with the host's name. */
const nameServer = `
import socket
own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); own.bind(("${vip}", ${datagramPort}))
while True:
    _, source = own.recvfrom(2048); own.sendto(socket.gethostname().encode(), source)
`;
/** For each line that comes in, sends a datagram of one flow and says who answered it, or "nobody". */
const asker = `
import socket, sys
flow = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); flow.connect(("${vip}", ${datagramPort})); flow.settimeout(2)
for line in sys.stdin:
    flow.send(b"?")
    try: print(flow.recv(64).decode(), flush=True)
    except OSError: print("nobody", flush=True)
`;

// The kernel keeps a connection whose destination is gone, in case it returns: what the agent takes out must be let go.
describe("clients of a real server that the agent takes out", { timeout: 120_000 }, () => {
  const lab = useLab();
  const director = (): LabHost => lab.host("dir1");
  const tcp = fragmentsOf({ vip, forwarding: "dr", allow: [], realServers: [...realServers] });
  const udpPart = fragmentsOf({
    vip,
    forwarding: "dr",
    allow: [],
    realServers: [...realServers],
    port: datagramPort,
    name: "udp",
  });
  const udp = { ...udpPart.service, protocol: "udp" } as const;
  const plan = [tcp.service, udp, tcp.vip];
  const without = <S extends { destinations: readonly { realServerId: string }[] }>(service: S, ids: readonly string[]): S => ({
    ...service,
    destinations: service.destinations.filter(({ realServerId }) => !ids.includes(realServerId)),
  });

  beforeAll(async () => {
    await installAgent(director());
    for (const { host } of realServers) {
      await bindSilently(lab.host(host), vip);
      await lab.host(host).writeFile("/run/names.py", nameServer);
      await lab.host(host).detach(["python3", "-IS", "/run/names.py"], { log: "/run/names.log" });
    }
    await applyPlan(director(), plan);
  }, 120_000);

  /** Starts a program of the client's that says things line by line. */
  async function talker(command: string[]) {
    const said: string[] = [];
    let rest = "";
    const onStdout = (chunk: Buffer) => {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      said.push(...lines);
    };
    const program = await lab.host("client").spawn(command, { stdin: true, onStdout });
    return {
      program,
      said,
      async ask() {
        const before = said.length;
        program.write("\n");
        await until("an answer", () => said.length > before);
        return said.at(-1)!;
      },
    };
  }

  test("TCP: they are reset with their next packet", async () => {
    const client = await talker([join(tools, "hold.py"), vip, "80"]);
    try {
      await until("a connection", () => client.said.includes("held"));
      await applyPlan(director(), [without(tcp.service, ["rs_rs1", "rs_rs2"]), udp, tcp.vip]);
      expect(await director().sh("ipvsadm -Lnc")).not.toContain("ESTABLISHED");
      expect(await director().sh("sysctl -n net.ipv4.vs.expire_nodest_conn")).toBe("0");
      expect(await client.ask()).toBe("reset");
    } finally {
      await client.program.kill();
      await applyPlan(director(), plan);
    }
  });

  test("UDP: their next datagram goes to another", async () => {
    const client = await talker(["python3", "-IS", "-c", asker]);
    try {
      const first = await client.ask();
      expect(["rs1", "rs2"]).toContain(first);
      expect(await client.ask()).toBe(first);
      await applyPlan(director(), [tcp.service, without(udp, [`rs_${first}`]), tcp.vip]);
      expect(await client.ask()).toBe(first === "rs1" ? "rs2" : "rs1");
    } finally {
      await client.program.kill();
      await applyPlan(director(), plan);
    }
  });
});
