import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Lab, LabHost } from "@trigon/lab";
import { until } from "@trigon/lab";

const root = join(import.meta.dirname, "../..");
const archive = join(root, "apps/agent/dist/trigon-agent.tgz");

/** The shipped bundle, built when a source is newer than it. */
function bundle(): Buffer {
  const packages = ["model", "planner", "reconciler", "kernel", "netlink", "health"].map((name) => `packages/${name}/src`);
  const sources = execFileSync("git", ["ls-files", "apps/agent", ...packages], { cwd: root, encoding: "utf8" });
  const newest = Math.max(
    ...sources
      .split("\n")
      .filter(Boolean)
      .map((path) => join(root, path))
      .filter((path) => existsSync(path))
      .map((path) => statSync(path).mtimeMs),
  );
  if (!existsSync(archive) || statSync(archive).mtimeMs < newest)
    execFileSync(process.execPath, ["apps/agent/build.mjs"], { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
  return readFileSync(archive);
}

/** Unpacks the agent under /opt/trigon, as the enrollment script does. */
export async function installAgent(...hosts: LabHost[]): Promise<void> {
  const content = bundle();
  await Promise.all(
    hosts.map(async (host) => {
      await host.writeFile("/run/trigon-agent.tgz", content);
      await host.sh(
        "mkdir -p /opt/trigon && tar -xzf /run/trigon-agent.tgz -C /opt/trigon && ln -sfn /opt/trigon/bin/trigon-agent /usr/local/bin/trigon-agent",
      );
    }),
  );
}

/** Runs `trigon-agent apply` on a plan of these fragments; throws with its output when not all of it stands. */
export async function applyPlan(host: LabHost, fragments: readonly unknown[]): Promise<void> {
  await host.writeFile("/root/plan.json", JSON.stringify({ fragments }));
  await host.sh("trigon-agent apply /root/plan.json", { timeoutMs: 120_000 });
}

/** Starts the daemon, which says in /run/trigon-agent.log what it does, and waits until its cached plan stands. Answers its pid. */
export async function startAgent(host: LabHost): Promise<number> {
  const pid = await host.detach(["trigon-agent", "run"], { log: "/run/trigon-agent.log" });
  await agentStands(host);
  return pid;
}

/** Waits until a running agent holds all of its plan. */
export async function agentStands(host: LabHost): Promise<void> {
  const stands = async () => {
    const status = await agentStatus(host);
    return status?.position && status.fragments.every(({ state }) => state === "applied");
  };
  await until(`the agent on ${host.name}`, stands, { deadlineMs: 90_000 });
}

/** What a running agent answers, or undefined when none does. Asked with curl: it starts in a tenth of Node's time. */
export async function agentStatus(host: LabHost): Promise<AgentStatus | undefined> {
  const answer = await host.sh("curl -s -X POST --unix-socket /var/lib/trigon/agent.sock http://agent/status", {
    allowFailure: true,
  });
  return answer === "" ? undefined : JSON.parse(answer);
}

interface AgentStatus {
  running: boolean;
  hold: object | null;
  position: { generation: number } | null;
  fragments: { id: string; state: string }[];
  groups?: { role: string; findings: { code: string; meta?: Record<string, string> }[] }[];
}

/** What `ipvsadm -Sn` lists. */
export const ipvsTable = async (host: LabHost) =>
  (await host.sh("ipvsadm -Sn", { allowFailure: true })).split("\n").filter(Boolean);

/** Whether an address is bound, by `ip`. */
export async function holds(host: LabHost, address: string): Promise<boolean> {
  return (await host.sh("ip -o addr")).includes(` ${address}/`);
}

interface ServiceShape {
  vip: string;
  port?: number;
  forwarding: "dr" | "tun" | "nat" | "fullnat";
  realServers: { host: string; rip: string; port?: number; weight?: number }[];
  snatSource?: "vip" | "dip";
  scheduler?: string;
  director?: string;
  name?: string;
  encapsulation?: "ipip" | "gre" | "gue";
  /** Networks that may come; left out, the VIP is closed to nothing. */
  allow?: string[];
  /** Whether a closed VIP answers echo requests. */
  ping?: boolean;
}

/** The fragments of one virtual service, as the controller would plan them: a director's, and each real server's by host. */
export function fragmentsOf(service: ServiceShape) {
  const { vip, port = 80, forwarding, realServers, snatSource = "vip", scheduler = "rr", director = "10.2.0.11" } = service;
  const serviceId = `vs_${service.name ?? vip.replaceAll(".", "")}`;
  const { allow, ping = true, encapsulation = "ipip" } = service;
  const common = { serviceId, name: serviceId, vip, protocol: "tcp", port, encapsulation, ...(allow ? { allow } : {}) };
  return {
    service: {
      ...common,
      id: `ds:${serviceId}`,
      kind: "director.service",
      scheduler,
      schedulerFlags: [],
      persistence: null,
      onePacket: false,
      snatSource,
      notrack: false,
      destinations: realServers.map(({ host, rip, port: own = port, weight = 1 }) => ({
        realServerId: `rs_${host}`,
        rip,
        port: own,
        forwarding,
        weight,
        upperThreshold: 0,
        lowerThreshold: 0,
      })),
    },
    vip: { id: `dv:${vip}`, kind: "director.vip", vip, heldBy: "agent", ...(allow ? { ping } : {}) },
    realServer: (name: string) => ({
      ...common,
      id: `rs:${serviceId}`,
      kind: "realServer.serve",
      endpoints: realServers
        .filter(({ host }) => host === name)
        .map(({ host, rip, port: own = port }) => ({ realServerId: `rs_${host}`, rip, port: own, forwarding })),
      directors: [{ nodeId: "node_dir1", index: 1, address: director, mac: null }],
    }),
  };
}

/** The MAC of a host's link. */
export const macOf = async (lab: Lab, host: string, ifname = "eth0") =>
  (await lab.host(host).readFile(`/sys/class/net/${ifname}/address`)).toString().trim();
