import { familyOf, type LintFinding, type VirtualServiceSpec } from "@trigon/model";
import type { FleetNode } from "./fleet.ts";
import { defaultRoute } from "./network.ts";

export interface LintContext {
  group: { activeNodeId: string | null } | null;
  nodes: readonly FleetNode[];
}

/** What is legal but unwise about a service, each with its way out. Pure. */
export function lintService(input: VirtualServiceSpec, { group, nodes }: LintContext): LintFinding[] {
  const findings: LintFinding[] = [];
  const find = (code: string, pointer: string, detail: string, fix: string | null, meta?: LintFinding["meta"]) =>
    findings.push({ code, pointer, detail, fix, ...(meta ? { meta } : {}) });

  const { scheduler, schedulerFlags, realServers, persistence } = input;
  if (realServers.length === 0) {
    find("service.empty", "/realServers", "The service has no real server: clients are refused.", "Add a real server.");
  } else if (realServers.every(({ weight }) => weight === 0)) {
    find(
      "service.quiesced",
      "/realServers",
      "Every real server has weight 0: new clients are refused.",
      "Give one a weight of 1 or more.",
    );
  }
  const isHashed = scheduler === "sh" || scheduler === "mh";
  const quiesced = realServers.findIndex(({ weight }) => weight === 0);
  if (isHashed && !schedulerFlags.includes("fallback") && quiesced >= 0) {
    const detail = `${scheduler} refuses the clients of a real server at weight 0 instead of moving them.`;
    find("scheduler.noFallback", `/realServers/${quiesced}/weight`, detail, 'Add the flag "fallback".', { scheduler });
  }
  if (isHashed && persistence) {
    const detail = `${scheduler} keeps a client on its real server by itself; persistence on top only costs memory.`;
    find("persistence.redundant", "/persistence", detail, "Leave persistence off.", { scheduler });
  }
  const director = nodes.find(({ id }) => id === group?.activeNodeId);
  for (const [index, { rip, forwarding, nodeId }] of realServers.entries()) {
    const effective = forwarding ?? input.forwarding;
    const node = nodes.find(({ id, facts }) =>
      nodeId ? id === nodeId : facts?.interfaces.some(({ addresses }) => addresses.some(({ address }) => address === rip)),
    );
    const pointer = `/realServers/${index}`;
    if (!node) {
      if (effective === "dr" || effective === "tun") {
        const detail = `No enrolled node has ${rip}: nobody prepares it for the VIP, and it is admitted unseen.`;
        find("realServer.unmanaged", `${pointer}/rip`, detail, "Enroll that machine as a real server.", { rip });
      }
      continue;
    }
    if (effective === "nat" && director?.facts && node.facts) {
      const legs = new Set(director.facts.interfaces.flatMap(({ addresses }) => addresses.map(({ address }) => address)));
      const gateway = defaultRoute(node.facts, familyOf(rip))?.gateway ?? null;
      if (gateway !== null && !legs.has(gateway)) {
        const detail = `${node.name} answers by way of ${gateway}, which is not ${director.name}: in NAT replies must go back through the director.`;
        find("nat.replyPath", `${pointer}/rip`, detail, "Route its replies by the director, or use full NAT.", { rip, gateway });
      }
    }
  }
  const tunnelled = realServers.findIndex(({ forwarding }) => (forwarding ?? input.forwarding) === "tun");
  if (tunnelled >= 0) {
    const overhead = input.encapsulation === "gre" ? 24 : 20;
    const detail = `Tunnel packets are ${overhead} bytes longer: where ICMP is filtered, large requests hang.`;
    find(
      "tunnel.mtu",
      `/realServers/${tunnelled}`,
      detail,
      `Let the path carry ${1500 + overhead} bytes, or clamp the MSS on the real server.`,
      { overhead },
    );
  }
  return findings;
}
