/**
 * What the walk asked for, and what a kernel must then hold, in the words of `ipvsadm` and `ip`. Written from the documents alone and knowing
 * nothing of Trigon's planner: it is the oracle.
 */
export type WalkForwarding = "dr" | "tun" | "nat" | "fullnat";

export interface WalkRealServer {
  host: string;
  rip: string;
  port: number;
  weight: number;
}

export interface WalkService {
  name: string;
  vip: string;
  port: number;
  forwarding: WalkForwarding;
  scheduler: string;
  enabled: boolean;
  realServers: WalkRealServer[];
}

export const addressOfClient = "10.1.0.10";
/** One VIP and port for each service that may be there. A VIP may carry two services that rewrite addresses. */
export const places: readonly { vip: string; port: number; forwarding: readonly WalkForwarding[] }[] = [
  { vip: "10.2.0.110", port: 80, forwarding: ["dr"] },
  { vip: "10.2.0.111", port: 80, forwarding: ["tun"] },
  { vip: "10.2.0.112", port: 80, forwarding: ["dr", "tun"] },
  { vip: "10.2.0.113", port: 80, forwarding: ["nat", "fullnat"] },
  { vip: "10.2.0.113", port: 81, forwarding: ["nat", "fullnat"] },
  { vip: "10.2.0.114", port: 8000, forwarding: ["fullnat", "nat"] },
];
export const vips = [...new Set(places.map(({ vip }) => vip))];

const near = [
  { host: "rs1", rip: "10.2.0.21", port: 80 },
  { host: "rs2", rip: "10.2.0.22", port: 80 },
  { host: "rs3", rip: "10.2.0.23", port: 80 },
];
const far = { host: "rs4", rip: "10.3.0.24", port: 80 };
/** Their default gateway is the director. */
const behind = [
  { host: "rs5", rip: "10.4.0.25", port: 8080 },
  { host: "rs6", rip: "10.4.0.26", port: 8080 },
];
/** Who can serve by which forwarding. */
export const candidates: Record<WalkForwarding, readonly Omit<WalkRealServer, "weight">[]> = {
  dr: near,
  tun: [...near, far],
  nat: behind,
  fullnat: [...near, ...behind],
};
export const schedulers = ["rr", "wrr", "lc", "wlc"] as const;

/** By hand, nobody's of ours: it must stay as it is. */
export const foreignLine = "-A -t 10.2.0.250:9999 -s rr";

const flagOf: Record<WalkForwarding, string> = { dr: "-g", tun: "-i", nat: "-m", fullnat: "-m" };

export const destinationOf = (service: WalkService, { rip, port }: WalkRealServer) =>
  `-t ${service.vip}:${service.port} -r ${rip}:${port} ${flagOf[service.forwarding]}`;

const tunnelType = ({ forwarding }: WalkService) => (forwarding === "tun" ? " --tun-type ipip" : "");

/** The lines of `ipvsadm -Sn` on the director, sorted. */
export function tableOf(services: readonly WalkService[], isForeignThere: boolean): string[] {
  const lines = services
    .filter(({ enabled }) => enabled)
    .flatMap((service) => [
      `-A -t ${service.vip}:${service.port} -s ${service.scheduler}`,
      ...service.realServers.map((one) => `-a ${destinationOf(service, one)} -w ${one.weight}${tunnelType(service)}`),
    ]);
  return [...lines, ...(isForeignThere ? [foreignLine] : [])].sort();
}

/** The VIPs that a host holds on whatever interface, sorted: the active director all; in DR and Tunnel a real server those it serves. */
export function addressesOf(host: string, services: readonly WalkService[]): string[] {
  const held = services.filter(({ enabled, forwarding, realServers }) => {
    if (!enabled) return false;
    if (host === "dir1") return true;
    return (forwarding === "dr" || forwarding === "tun") && realServers.some((one) => one.host === host);
  });
  return [...new Set(held.map(({ vip }) => vip))].sort();
}

/** Whether a client gets an answer from it. */
export const isLive = ({ enabled, realServers }: WalkService) => enabled && realServers.some(({ weight }) => weight > 0);

/** What is wrong with an answer (undefined: none came) to one request; nothing wrong: undefined. */
export function wrongWith(service: WalkService, answer: { server: string; src: string; dst: string } | undefined) {
  const name = `${service.vip}:${service.port}`;
  if (!answer) return `${name} does not answer`;
  const by = service.realServers.find(({ host, weight }) => host === answer.server && weight > 0);
  if (!by) return `${name} was answered by ${answer.server}`;
  const isRewritten = service.forwarding === "nat" || service.forwarding === "fullnat";
  const dst = isRewritten ? `${by.rip}:${by.port}` : name;
  const src = service.forwarding === "fullnat" ? service.vip : addressOfClient;
  return answer.dst === dst && answer.src === src ? undefined : `${name}: ${answer.server} saw ${answer.src} > ${answer.dst}`;
}
