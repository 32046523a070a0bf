import { endpoint, type FieldError, familyOf, inNetwork, unusableReason, type VirtualServiceSpec } from "@trigon/model";
import type { FleetNode } from "./fleet.ts";
import { onLinkInterface } from "./network.ts";

/** What a service must fit in with. */
export interface ValidationContext {
  /** The id of the service being replaced; null for a new one. */
  id: string | null;
  /** The group it resolves to; null when the input names none and there is not exactly one. */
  group: { id: string; activeNodeId: string | null; floatingAddresses: readonly string[] } | null;
  /** Floating addresses of all groups. */
  floating: readonly { address: string; group: string }[];
  /** Every node that takes part (not revoked, not decommissioned). */
  nodes: readonly FleetNode[];
  /** Services with the same name or the same VIP; more are no harm. */
  others: readonly { id: string; name: string; groupId: string; vip: string; protocol: string; port: number }[];
  /** Addresses at which browsers and agents reach the controllers. */
  controllerAddresses: readonly string[];
}

type Spec = VirtualServiceSpec;

/** What is wrong with a service, field by field, or nothing. Pure; the same in the API and in the form. */
export function validateService(input: Spec, context: ValidationContext): FieldError[] {
  return [
    ...checkName(input, context),
    ...checkGroup(input, context),
    ...checkVip(input, context),
    ...checkSnatSource(input, context),
    ...checkScheduling(input),
    ...checkRealServers(input, context),
    ...checkHealth(input),
    ...checkAllow(input),
  ];
}

function error(pointer: string, code: string, detail: string, meta?: FieldError["meta"]): FieldError {
  return { pointer, code, detail, ...(meta ? { meta } : {}) };
}

function checkName({ name }: Spec, { id, others }: ValidationContext): FieldError[] {
  const other = others.find((candidate) => candidate.id !== id && candidate.name === name);
  return other ? [error("/name", "name.taken", `Another service is already called "${name}".`, { name })] : [];
}

function checkGroup({ directorGroupId }: Spec, { group }: ValidationContext): FieldError[] {
  if (group) return [];
  return directorGroupId
    ? [error("/directorGroupId", "group.unknown", "There is no such director group.")]
    : [error("/directorGroupId", "group.required", "Say which director group shall serve it: there is not exactly one.")];
}

function checkVip(
  { vip, protocol, port }: Spec,
  { id, group, nodes, others, floating, controllerAddresses }: ValidationContext,
): FieldError[] {
  const errors: FieldError[] = [];
  const wrong = (code: string, detail: string, meta: FieldError["meta"] = {}) =>
    errors.push(error("/vip", code, detail, { vip, ...meta }));
  const range = unusableReason(vip);
  if (range) wrong("vip.unusable", `${vip} is a ${range} address and can be no VIP.`, { range });
  const holder = nodes.find(({ facts }) =>
    facts?.interfaces.some(({ addresses }) => addresses.some(({ address }) => address === vip)),
  );
  const owner = floating.find(({ address }) => address === vip);
  if (owner)
    wrong("vip.isFloating", `${vip} is a floating address of the director group "${owner.group}".`, { group: owner.group });
  else if (holder) wrong("vip.isNodeAddress", `${vip} is an address of ${holder.name}.`, { node: holder.name });
  const routed = nodes.find(({ facts }) => facts?.routes.some(({ gateway }) => gateway === vip));
  if (routed) wrong("vip.isGateway", `${vip} is a gateway of ${routed.name}.`, { node: routed.name });
  const resolving = nodes.find(({ facts }) => facts?.resolvers.includes(vip));
  if (resolving) wrong("vip.isResolver", `${vip} is a name server of ${resolving.name}.`, { node: resolving.name });
  if (controllerAddresses.includes(vip)) wrong("vip.isController", `${vip} is an address of the controller.`);
  const edge = edgeOfNetwork(vip, nodes);
  if (edge) wrong("vip.unusable", `${vip} is the ${edge} address of a network of the fleet.`, { range: edge });
  const same = others.filter((other) => other.id !== id && other.vip === vip);
  const foreign = group && same.find(({ groupId }) => groupId !== group.id);
  if (foreign)
    wrong("vip.otherGroup", `${vip} belongs to another director group (service "${foreign.name}").`, { service: foreign.name });
  const twin = same.find((other) => other.protocol === protocol && other.port === port);
  if (twin) {
    const detail = `"${twin.name}" already serves ${endpoint(vip, port)}/${protocol}.`;
    errors.push(error("/port", "service.duplicate", detail, { vip, port, protocol, service: twin.name }));
  }
  return errors;
}

/** A source of its own must be there on whoever holds the VIPs. */
function checkSnatSource({ vip, snatSource }: Spec, { group }: ValidationContext): FieldError[] {
  if (snatSource === "vip" || snatSource === "dip" || !group) return [];
  const meta = { address: snatSource };
  if (!group.floatingAddresses.includes(snatSource)) {
    const detail = `${snatSource} is no floating address of the director group: add it there first.`;
    return [error("/snatSource", "snatSource.notFloating", detail, meta)];
  }
  if (familyOf(snatSource) === familyOf(vip)) return [];
  return [
    error("/snatSource", "snatSource.familyMismatch", `${snatSource} and the VIP are of different address families.`, meta),
  ];
}

/** The first and last address of a network of more than two stand for the network and for everybody in it. */
function edgeOfNetwork(vip: string, nodes: readonly FleetNode[]): "network" | "broadcast" | undefined {
  if (familyOf(vip) !== 4) return undefined;
  const number = toNumber(vip);
  for (const { facts } of nodes) {
    for (const { addresses } of facts?.interfaces ?? []) {
      for (const { address, prefix } of addresses) {
        if (prefix >= 31 || prefix === 0 || !inNetwork(vip, address, prefix)) continue;
        const host = (number & (0xffffffff >>> prefix)) >>> 0;
        if (host === 0) return "network";
        if (host === 0xffffffff >>> prefix) return "broadcast";
      }
    }
  }
  return undefined;
}

function toNumber(address: string): number {
  return address.split(".").reduce((number, part) => ((number << 8) | Number(part)) >>> 0, 0);
}

function checkScheduling(input: Spec): FieldError[] {
  const { scheduler, schedulerFlags, onePacket, protocol, persistence, vip } = input;
  const errors: FieldError[] = [];
  if (schedulerFlags.length > 0 && scheduler !== "sh" && scheduler !== "mh") {
    errors.push(
      error("/schedulerFlags", "scheduler.flagUnsupported", `Only sh and mh know these flags, ${scheduler} does not.`, {
        scheduler,
      }),
    );
  }
  if (onePacket && protocol !== "udp") {
    errors.push(error("/onePacket", "onePacket.notUdp", "One-packet scheduling is for UDP only.", { protocol }));
  }
  if (persistence && familyOf(vip) === 4 && persistence.granularity > 32) {
    const detail = `A prefix of an IPv4 address has at most 32 bits, not ${persistence.granularity}.`;
    errors.push(error("/persistence/granularity", "persistence.granularity", detail, { granularity: persistence.granularity }));
  }
  return errors;
}

/** One certificate or more, with whatever text between them. */
const pemCertificates =
  /^(?:(?!-----)[\s\S])*(?:-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----(?:(?!-----)[\s\S])*)+$/;

function checkHealth({ health, vip, protocol, forwarding, realServers, port }: Spec): FieldError[] {
  const errors: FieldError[] = [];
  const { check, quorum, sorryServer } = health;
  const wrong = (field: string, code: string, detail: string, meta?: FieldError["meta"]) =>
    errors.push(error(`/health/${field}`, code, detail, meta));
  if (check !== null && check.kind !== "none") {
    const { intervalMs, timeoutMs, fastIntervalMs } = check;
    if (timeoutMs > intervalMs)
      wrong("check/timeoutMs", "health.timeout", "A probe must be over before the next one: at most the interval.", {
        intervalMs,
      });
    if (fastIntervalMs > intervalMs)
      wrong("check/fastIntervalMs", "health.fastInterval", "The interval while changing is at most the usual one.", {
        intervalMs,
      });
  }
  if (check !== null && check.kind !== "none" && check.target === "vip") {
    const others = realServers.flatMap((server) => server.forwarding ?? []);
    const nat = [forwarding, ...others].find((one) => one === "nat" || one === "fullnat");
    if (check.kind !== "tcp" && check.kind !== "http")
      wrong("check/target", "health.vipKind", "Only TCP and HTTP checks can go to the VIP.", { kind: check.kind });
    else if (protocol !== "tcp" || familyOf(vip) !== 4)
      wrong("check/target", "health.vipProtocol", "Checks can go to the VIP of a TCP service over IPv4 only.");
    else if (nat)
      wrong("check/target", "health.vipNat", "By NAT a real server sees requests at its own address: check that one, the RIP.");
    else if (check.port !== null)
      wrong("check/port", "health.vipPort", "A check that goes to the VIP asks at the service's own port.");
  }
  if (check?.kind === "udp" && check.encoding === "hex") {
    for (const field of ["payload", "reply"] as const)
      if (check[field] !== null && !/^([0-9a-f]{2})+$/i.test(check[field]))
        wrong(`check/${field}`, "health.hex", "Hexadecimal digits in pairs are wanted here.");
  }
  if ((check?.kind === "tls" || check?.kind === "https") && check.ca !== null && !pemCertificates.test(check.ca))
    wrong("check/ca", "health.ca", "PEM is wanted here: from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----.");
  if (quorum.up < quorum.down)
    wrong("quorum/up", "health.quorum", "It takes at least as many to be enough again as to stay enough.", { down: quorum.down });
  if (sorryServer) {
    const { rip } = sorryServer;
    const taken = realServers.some((server) => server.rip === rip && (server.port ?? port) === (sorryServer.port ?? port));
    if (taken) wrong("sorryServer/rip", "health.sorryIsRealServer", `${rip} is a real server of this service.`, { rip });
    if (familyOf(rip) !== familyOf(vip))
      wrong("sorryServer/rip", "realServer.familyMismatch", `${rip} and the VIP ${vip} are of different address families.`, {
        rip,
      });
  }
  return errors;
}

function checkAllow({ allow, vip }: Spec): FieldError[] {
  return allow.flatMap((network, index) => {
    if (familyOf(network.slice(0, network.indexOf("/"))) === familyOf(vip)) return [];
    const detail = `${network} and the VIP ${vip} are of different address families.`;
    return [error(`/allow/${index}`, "allow.familyMismatch", detail, { network })];
  });
}

function checkRealServers(input: Spec, { group, nodes }: ValidationContext): FieldError[] {
  const errors: FieldError[] = [];
  const seen = new Map<string, number>();
  const director = nodes.find(({ id }) => group !== null && id === group.activeNodeId);
  if (input.forwarding === "tun" && familyOf(input.vip) === 6) {
    errors.push(error("/forwarding", "tunnel.ipv6Unsupported", "Tunnel forwarding works with IPv4 only, for now."));
  }
  for (const [index, realServer] of input.realServers.entries()) {
    const { rip, nodeId, upperThreshold, lowerThreshold } = realServer;
    const at = (field: string) => `/realServers/${index}/${field}`;
    const wrong = (field: string, code: string, detail: string, meta: FieldError["meta"] = {}) =>
      errors.push(error(at(field), code, detail, { rip, ...meta }));
    const port = realServer.port ?? input.port;
    const forwarding = realServer.forwarding ?? input.forwarding;
    const isDirect = forwarding === "dr" || forwarding === "tun";

    const range = unusableReason(rip);
    if (range) wrong("rip", "realServer.unusable", `${rip} is a ${range} address and can be no real server.`, { range });
    if (rip === input.vip) wrong("rip", "realServer.isVip", "A real server needs an address of its own, not the VIP.");
    const twin = seen.get(`${rip} ${port}`);
    if (twin !== undefined) {
      wrong("rip", "realServer.duplicate", `${endpoint(rip, port)} is in this service already.`, { port, first: twin });
    } else seen.set(`${rip} ${port}`, index);
    if (familyOf(rip) !== familyOf(input.vip)) {
      wrong("rip", "realServer.familyMismatch", `${rip} and the VIP ${input.vip} are of different address families.`);
    } else if (forwarding === "tun" && familyOf(rip) === 6 && realServer.forwarding === "tun") {
      wrong("forwarding", "tunnel.ipv6Unsupported", "Tunnel forwarding works with IPv4 only, for now.");
    }
    if (isDirect && port !== input.port) {
      const detail = `${forwarding === "dr" ? "Direct routing" : "Tunnel"} cannot change the port: it must be ${input.port}, as the service's.`;
      wrong("port", "realServer.portMismatch", detail, { port, servicePort: input.port });
    }
    if (forwarding === "dr" && director?.facts && !onLinkInterface(rip, director.facts)) {
      const detail = `${rip} is not on a link of ${director.name}: direct routing cannot cross a router. Use Tunnel.`;
      wrong("rip", "realServer.offLink", detail, { director: director.name });
    }
    if (lowerThreshold > 0 && (upperThreshold === 0 || lowerThreshold > upperThreshold)) {
      const detail = "The lower threshold must not be above the upper one.";
      wrong("lowerThreshold", "realServer.thresholds", detail, { upperThreshold, lowerThreshold });
    }
    if (nodeId && !nodes.some(({ id, role }) => id === nodeId && role === "realServer")) {
      wrong("nodeId", "node.unknown", "There is no such enrolled real server.");
    }
  }
  return errors;
}
