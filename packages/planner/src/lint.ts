import {
  canSlowStart,
  endpoint,
  type Forwarding,
  familyOf,
  type GroupMode,
  inNetwork,
  isDraining,
  type LintFinding,
  type RealServerSpec,
  slowStartSteps,
  type VirtualServiceSpec,
} from "@trigon/model";
import { encapsulations } from "./encapsulations.ts";
import type { FleetNode } from "./fleet.ts";
import { defaultRoute, interfaceToward, onLinkInterface, sourceToward } from "./network.ts";

/** Another service of the same director group, as far as lint looks at it. */
export interface LintNeighbour {
  name: string;
  enabled: boolean;
  vip: string;
  protocol: string;
  port: number;
  forwarding: Forwarding;
  realServers: readonly Pick<RealServerSpec, "rip" | "forwarding">[];
}

export interface LintContext {
  group: { activeNodeId: string | null; mode: GroupMode; floatingAddresses: readonly string[] } | null;
  nodes: readonly FleetNode[];
  /** The other services of the group; the one looked at is left out. */
  neighbours: readonly LintNeighbour[];
}

type Spec = VirtualServiceSpec;
type Meta = LintFinding["meta"];
type Find = (
  severity: LintFinding["severity"],
  code: string,
  pointer: string,
  detail: string,
  fix: string | null,
  meta?: Meta,
) => void;

/** What is legal but unwise about a service, each with its way out. Pure; never a reason to refuse. */
export function lintService(input: Spec, context: LintContext): LintFinding[] {
  const findings: LintFinding[] = [];
  const find: Find = (severity, code, pointer, detail, fix, meta) =>
    findings.push({ severity, code, pointer, detail, fix, ...(meta ? { meta } : {}) });
  lintScheduling(input, find);
  lintSlowStart(input, find);
  lintPort(input, context, find);
  lintForwarding(input, context, find);
  for (const [index, server] of input.realServers.entries()) lintRealServer(input, server, index, context, find);
  lintSorryServer(input, find);
  return findings;
}

const isDirect = (forwarding: Forwarding) => forwarding === "dr" || forwarding === "tun";
const forwardingsOf = ({ forwarding, realServers }: Pick<LintNeighbour, "forwarding" | "realServers">) =>
  realServers.length === 0 ? [forwarding] : realServers.map((server) => server.forwarding ?? forwarding);

function lintSlowStart({ scheduler, slowStartSeconds, realServers }: Spec, find: Find): void {
  if (slowStartSeconds === 0) return;
  if (!canSlowStart(scheduler)) {
    const detail = `${scheduler} takes no slow start: a real server that comes back has its whole share at once.`;
    find(
      "warn",
      "slowStart.unweighted",
      "/slowStartSeconds",
      detail,
      "Use a scheduler that shares by weight: wrr, wlc, sed or nq.",
      {
        scheduler,
      },
    );
    return;
  }
  const small = realServers.findIndex(({ weight }) => weight > 0 && weight < slowStartSteps);
  if (small < 0) return;
  const { weight } = realServers[small]!;
  const detail = `A weight of ${weight} has too few steps: a real server that comes back has much of its share at once.`;
  const fix = `Give weights of ${slowStartSteps} or more, in the same proportions.`;
  find("info", "slowStart.smallWeight", `/realServers/${small}/weight`, detail, fix, { weight, least: slowStartSteps });
}

function lintScheduling({ scheduler, schedulerFlags, realServers, persistence }: Spec, find: Find): void {
  if (realServers.length === 0) {
    find("warn", "service.empty", "/realServers", "The service has no real server: clients are refused.", "Add a real server.");
  } else if (realServers.every(({ weight }) => weight === 0)) {
    const detail = "Every real server has weight 0: new clients are refused.";
    find("warn", "service.quiesced", "/realServers", detail, "Give one a weight of 1 or more.");
  } else if (!realServers.some(({ weight, adminState }) => weight > 0 && adminState === "active")) {
    const detail =
      "No real server is active: all with a weight are drained, in maintenance or disabled, and new clients are refused.";
    find("warn", "service.noneActive", "/realServers", detail, "Make one active.");
  }
  const honouring = realServers.findIndex((server) => isDraining(server) && server.drain?.mode === "honourPersistence");
  if (honouring >= 0 && persistence) {
    const detail =
      "While this drain honours persistence, the pinned clients of every service on the director stay with a real server at weight 0, also with one that fails its checks.";
    const fix = "Drain active connections only, or keep it short.";
    find("info", "drain.honoursForAll", `/realServers/${honouring}/drain/mode`, detail, fix);
  }
  const isHashed = scheduler === "sh" || scheduler === "mh";
  const quiesced = realServers.findIndex(({ weight }) => weight === 0);
  if (isHashed && !schedulerFlags.includes("fallback") && quiesced >= 0) {
    const detail = `${scheduler} refuses the clients of a real server at weight 0 instead of moving them.`;
    const pointer = `/realServers/${quiesced}/weight`;
    find("warn", "scheduler.noFallback", pointer, detail, 'Add the flag "fallback".', { scheduler });
  }
  if (isHashed && persistence) {
    const detail = `${scheduler} keeps a client on its real server by itself; persistence on top only costs memory.`;
    find("info", "persistence.redundant", "/persistence", detail, "Leave persistence off.", { scheduler });
  }
}

/** Ports whose clients keep connections for hours: databases, queues, shells. */
const longLivedPorts: ReadonlySet<number> = new Set([
  22, 389, 636, 1433, 1521, 1883, 3306, 3389, 5222, 5432, 5672, 6379, 8883, 9092, 11211, 27017,
]);
/** The kernel's own `ipvsadm --set` value for an established TCP connection, and Linux' tcp_keepalive_time. */
const idleSeconds = { ipvs: 900, keepalive: 7200 } as const;

function lintPort({ vip, port, protocol, persistence }: Spec, { neighbours }: LintContext, find: Find): void {
  if (port === 0 && !persistence) {
    const detail =
      "A service on all ports takes no packet without persistence: the kernel looks for it only for persistent clients.";
    find("warn", "allPorts.notPersistent", "/persistence", detail, "Turn persistence on.");
  }
  const beside = neighbours.find(
    (other) => other.enabled && other.vip === vip && other.protocol === protocol && (other.port === 0) !== (port === 0),
  );
  if (beside) {
    const [all, one] = port === 0 ? ["this service", `"${beside.name}"`] : [`"${beside.name}"`, "this service"];
    const detail = `${all} takes all ports of ${vip}, ${one} one of them: a client pinned by the first may still reach the second on another real server.`;
    find("warn", "service.overlaps", "/port", detail, "Give one of them a VIP of its own.", { vip, service: beside.name });
  }
  if (protocol === "tcp" && longLivedPorts.has(port)) {
    const detail = `IPVS forgets a TCP connection that is idle for ${idleSeconds.ipvs} s; clients on port ${port} often stay idle longer, and their keepalive starts at ${idleSeconds.keepalive} s: their next packet is reset.`;
    const fix = `Set the clients' TCP keepalive below ${idleSeconds.ipvs} s, or raise the timeout of the directors (ipvsadm --set).`;
    find("info", "tcp.idleTimeout", "/port", detail, fix, { port, idle: idleSeconds.ipvs, keepalive: idleSeconds.keepalive });
  }
}

function lintForwarding(input: Spec, { neighbours }: LintContext, find: Find): void {
  const own = forwardingsOf(input);
  const active = neighbours.filter(({ enabled }) => enabled);
  if (own.includes("fullnat")) {
    const direct = active.find((other) => forwardingsOf(other).some(isDirect));
    if (direct) {
      const detail = `Full NAT turns connection tracking on for the whole director, also for "${direct.name}", which does not route replies through it; Trigon exempts those services from tracking.`;
      const fix = "Serve full NAT from another director group, or allow untracked packets in the director's own firewall.";
      find("info", "fullnat.besideDirect", "/forwarding", detail, fix, { service: direct.name });
    }
  } else if (own.some(isDirect)) {
    const full = active.find((other) => forwardingsOf(other).includes("fullnat"));
    if (full) {
      const detail = `"${full.name}" does full NAT on the same director: a stateful firewall there must let this service's untracked packets in.`;
      const fix = "Allow untracked packets in the director's own firewall, or use another director group.";
      find("info", "fullnat.besideDirect", "/forwarding", detail, fix, { service: full.name });
    }
  }
  const tunnelled = input.realServers.findIndex(({ forwarding }) => (forwarding ?? input.forwarding) === "tun");
  if (tunnelled >= 0) {
    const overhead = encapsulations[input.encapsulation].overhead;
    const detail = `Tunnel packets are ${overhead} bytes longer: where ICMP is filtered, large requests hang.`;
    const fix = `Let the path carry ${1500 + overhead} bytes, or clamp the MSS on the real server.`;
    find("info", "tunnel.mtu", `/realServers/${tunnelled}`, detail, fix, { overhead });
  }
}

function lintRealServer(input: Spec, server: RealServerSpec, index: number, context: LintContext, find: Find): void {
  const { group, nodes } = context;
  const { rip, nodeId } = server;
  const forwarding = server.forwarding ?? input.forwarding;
  const pointer = `/realServers/${index}/rip`;
  if (isDirect(forwarding)) lintOwnClient(input, rip, pointer, context, find);
  const node = nodes.find(({ id, facts }) =>
    nodeId ? id === nodeId : facts?.interfaces.some(({ addresses }) => addresses.some(({ address }) => address === rip)),
  );
  if (!node) {
    if (isDirect(forwarding)) {
      const detail = `No enrolled node has ${rip}: nobody prepares it for the VIP, and it is admitted unseen.`;
      find("info", "realServer.unmanaged", pointer, detail, "Enroll that machine as a real server.", { rip });
    }
    return;
  }
  const director = nodes.find(({ id }) => id === group?.activeNodeId);
  if (!director?.facts || !node.facts || familyOf(rip) !== familyOf(input.vip)) return;
  const dip = sourceToward(rip, director.facts)?.address;
  if (forwarding === "dr" && dip !== undefined && onLinkInterface(rip, director.facts) && !onLinkInterface(dip, node.facts)) {
    const detail = `${director.name} finds ${rip} on its own link, but ${node.name} does not find ${dip} on its: their networks or prefix lengths differ, and direct routing needs one link.`;
    const fix = "Give both the same network and prefix length, or use Tunnel.";
    find("warn", "dr.acrossSubnets", pointer, detail, fix, { rip, dip, director: director.name });
  }
  if (forwarding === "nat" && dip !== undefined) lintReplyPath(input, { rip, dip, node, director, pointer }, context, find);
}

/** In NAT the director must see the replies. */
function lintReplyPath(
  { vip }: Spec,
  { rip, dip, node, director, pointer }: { rip: string; dip: string; node: FleetNode; director: FleetNode; pointer: string },
  { group, neighbours }: LintContext,
  find: Find,
): void {
  const facts = node.facts!;
  const legs = new Set(director.facts!.interfaces.flatMap(({ addresses }) => addresses.map(({ address }) => address)));
  const gateway = defaultRoute(facts, familyOf(rip))?.gateway ?? null;
  const dev = interfaceToward(dip, facts)?.name ?? "eth0";
  const moving = [...(group?.floatingAddresses ?? []), vip, ...neighbours.map((other) => other.vip)];
  const floating =
    group?.floatingAddresses.find((address) => familyOf(address) === familyOf(rip) && onLinkInterface(address, facts)) ?? null;
  const rule = `ip rule add from ${rip} lookup 100; ip route add default via ${floating ?? dip} dev ${dev} table 100`;
  if (group?.mode === "vrrp" && gateway !== null && legs.has(gateway) && !moving.includes(gateway)) {
    const detail = `${node.name} answers by way of ${gateway}, an address that stays with ${director.name}: once a peer holds the VIPs, replies do not come back through it.`;
    const fix = `Give the director group a floating address in the network of ${rip}, and make it the gateway of ${node.name}.`;
    find("warn", "nat.gatewayStays", pointer, detail, fix, { rip, gateway, node: node.name, director: director.name });
  }
  if (gateway !== null && !legs.has(gateway) && !moving.includes(gateway)) {
    const detail = `${node.name} answers by way of ${gateway}, which is not ${director.name}: in NAT replies must go back through the director.`;
    const fix = `Send what comes from ${rip} through the director (on ${node.name}: ${rule}), or use full NAT.`;
    find("warn", "nat.replyPath", pointer, detail, fix, { rip, gateway, rule });
  }
  const own = facts.interfaces.flatMap(({ addresses }) => addresses).find(({ address }) => address === rip);
  if (own && inNetwork(vip, own.address, own.prefix)) {
    const detail = `${vip} is in the network of ${rip}: clients of that network get its replies directly, not through the director, and drop them.`;
    find("info", "nat.sharedNetwork", pointer, detail, "Use full NAT, or keep clients out of that network.", { rip, vip });
  }
}

/** A DR or Tunnel real server has the VIP on its own `lo`: what it sends there itself never reaches the director. */
function lintOwnClient(
  { vip, protocol, port }: Spec,
  rip: string,
  pointer: string,
  { neighbours }: LintContext,
  find: Find,
): void {
  const other = neighbours.find(
    (one) =>
      one.enabled &&
      one.vip === vip &&
      (one.protocol !== protocol || one.port !== port) &&
      !one.realServers.some((server) => server.rip === rip),
  );
  if (!other) return;
  const detail = `${rip} holds ${vip} itself: as a client of "${other.name}" (${endpoint(vip, other.port)}/${other.protocol}) it is refused, because the connection never leaves the machine.`;
  const fix = `Give "${other.name}" a VIP of its own, or let ${rip} serve it too.`;
  find("info", "realServer.ownClient", pointer, detail, fix, { rip, vip, service: other.name });
}

/** Neither DR nor Tunnel can change the port, whatever the kernel is told. */
function lintSorryServer({ health: { sorryServer }, forwarding, port }: Spec, find: Find): void {
  if (!sorryServer || !isDirect(sorryServer.forwarding ?? forwarding)) return;
  if (sorryServer.port === null || sorryServer.port === port) return;
  const detail = `Direct routing and Tunnel cannot change the port: the sorry server gets packets for ${port}, not ${sorryServer.port}.`;
  const fix = "Leave its port out, or give it NAT or full NAT forwarding.";
  find("warn", "direct.portMapped", "/health/sorryServer/port", detail, fix, { port, mapped: sorryServer.port });
}
