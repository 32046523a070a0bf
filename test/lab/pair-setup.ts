import { type Lab, type LabHost, until } from "@trigon/lab";
import { agentStatus, applyPlan, type fragmentsOf, installAgent, startAgent } from "./agent.ts";

export const directors = [
  { name: "dir1", address: "10.2.0.11", priority: 200 },
  { name: "dir2", address: "10.2.0.12", priority: 190 },
] as const;
export type Director = (typeof directors)[number]["name"];
export const other = (name: Director): Director => (name === "dir1" ? "dir2" : "dir1");
export const advertMs = 100;

/** What a pair needs of a service's fragments, as `fragmentsOf` answers them. */
type Service = ReturnType<typeof fragmentsOf>;

/** The controller's words for a pair with these services: what one director's plan holds. */
export function pairPlan(name: Director, services: readonly Pick<Service, "service" | "vip">[]): object[] {
  const own = directors.find((director) => director.name === name)!;
  const others = directors
    .filter((director) => director !== own)
    .map((one) => ({ nodeId: one.name, name: one.name, priority: one.priority, addresses: [one.address] }));
  const group = {
    ...{ id: "dg:dg_1", kind: "director.group", groupId: "dg_1", name: "pair", virtualRouterId: 51, advertMs },
    ...{ preempt: false, interface: null, peers: "unicast", priority: own.priority, addresses: [own.address] },
    ...{ others, vips: services.map(({ vip }) => vip.vip), preferred: null },
  };
  return [...services.flatMap(({ service, vip }) => [service, { ...vip, heldBy: "vrrp" }]), group];
}

/** Two directors with agents and these services; answers when one holds the VIPs and both are fit. */
export async function startPair(lab: Lab, services: readonly Pick<Service, "service" | "vip">[]): Promise<void> {
  const hosts = directors.map(({ name }) => lab.host(name));
  await installAgent(...hosts);
  for (const { name } of directors) {
    await applyPlan(lab.host(name), pairPlan(name, services));
    await startAgent(lab.host(name));
  }
  await until("a fit holder", () => isFit(lab), { deadlineMs: 60_000, everyMs: 250 });
}

/** A DR real server as an operator makes it by hand: the VIP on `lo`, and silence about it. */
export const bindSilently = (host: LabHost, vip: string) =>
  host.sh(`sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2; ip addr add ${vip}/32 dev lo`);

/** Whether both members want what fit ones do: one to keep the VIPs, the other to wait. */
export async function isFit(lab: Lab): Promise<boolean> {
  const values = await Promise.all(
    directors.map(async ({ name }) => Number(await lab.host(name).readFile("/var/lib/trigon/vrrp/track/dg_1"))),
  );
  return values.every((value) => value >= 0) && values.filter((value) => value === 50).length === 1;
}

/** Who has an address bound by now, by `ip`. */
export async function holdersOf(lab: Lab, address: string): Promise<Director[]> {
  const bound = await Promise.all(
    directors.map(async ({ name }) => {
      const links = await lab.host(name).json<{ addr_info: { local?: string }[] }[]>(["ip", "-j", "addr", "show", "dev", "eth0"]);
      return links.some(({ addr_info }) => addr_info.some(({ local }) => local === address)) ? [name] : [];
    }),
  );
  return bound.flat();
}

export const killKeepalived = (host: LabHost) =>
  host.sh("kill -9 $(cat /var/lib/trigon/vrrp/keepalived.pid /var/lib/trigon/vrrp/vrrp.pid)");
export const killAgent = (host: LabHost) => host.sh("kill -9 $(grep -o '[0-9]*' /var/lib/trigon/agent.lock | head -1)");

/** What a member's agent finds of its group now, by `trigon-agent status`. */
export async function findingsOf(host: LabHost): Promise<{ code: string; meta?: Record<string, string> }[]> {
  const status = await agentStatus(host);
  return (status?.groups ?? []).flatMap(({ findings }) => findings);
}
