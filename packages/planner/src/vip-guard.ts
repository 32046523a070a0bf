import { type Facts, familyOf, hostPrefix, type Protocol, type Resource } from "@trigon/model";
import { filterRule, from, port, ruleOrder, to } from "./resources.ts";

/** A service as far as it opens its VIP. */
export interface OpenService {
  vip: string;
  protocol: Protocol;
  /** 0: all ports. */
  port: number;
  /** Networks whose clients may come; none: everyone. */
  allow: readonly string[];
}

/** Rules stand in this many chains, by the last bits of the VIP, so that a packet meets few of them however many VIPs there are. */
const chains = 32;

/** The words for ICMP of each family, and the types that a VIP must take in: errors, and neighbour discovery. */
const icmp = {
  4: { protocol: ["-p", "icmp"], type: ["-m", "icmp", "--icmp-type"], needed: [3, 11, 12] },
  6: { protocol: ["-p", "ipv6-icmp"], type: ["-m", "icmp6", "--icmpv6-type"], needed: [1, 2, 3, 4, 133, 134, 135, 136, 137] },
} as const;

const input = (vip: string, id: string, order: number, match: readonly string[], chain?: string) =>
  filterRule({ family: familyOf(vip), table: "filter", hook: "INPUT", id, order, match, ...(chain ? { chain } : {}) });

/**
 * A VIP answers for its services only: whatever else of this machine listens on all addresses does not. Only what opens a connection is judged:
 * the other packets of TCP reach nobody who did not answer the first, and so every established connection passes by one rule. `holder` keeps
 * apart what a node does as a director and as a real server. None without iptables: doctor says so, and traffic is worth more.
 */
export function closedVip(holder: "director" | "realServer", vip: string, ping: boolean, facts: Facts): Resource[] {
  if (facts.iptables === "none") return [];
  const { protocol, type, needed } = icmp[familyOf(vip)];
  const chain = chainOf(vip);
  const rest = ping ? ["!", ...protocol] : [];
  return [
    input(vip, "vip-local", ruleOrder.vipPass, ["-i", "lo", "-j", "RETURN"]),
    input(vip, "vip-established", ruleOrder.vipPass, [
      ...["-p", "tcp", "-m", "tcp", "!", "--tcp-flags", "FIN,SYN,RST,ACK", "SYN", "-j", "RETURN"],
    ]),
    ...needed.map((number) =>
      input(vip, `vip-icmp:${number}`, ruleOrder.vipPass, [...protocol, ...type, String(number), "-j", "RETURN"]),
    ),
    input(vip, `vip-chain:${chain}`, ruleOrder.vipChain, ["-d", lastBits(vip), "-g", `TRIGON-INPUT-${chain}`]),
    input(vip, `vip-closed:${holder}:${vip}`, ruleOrder.drop, [...to(vip), ...rest, "-j", "DROP"], chain),
  ];
}

/** RSTs of a connection that are held back, and so many a minute from then on. A client repeats itself after 0.2, 0.4, 0.9 and 1.7 s: most tables are full again by then. */
const heldBack = "3";

/**
 * Holds back the first resets by which the director itself would end a connection of its VIP. It answers for the VIP only while IPVS does not take
 * the packets, as when somebody empties its table: what the client repeats then finds the table full again, and its connection goes on. One that is
 * really lost is reset a second later. None on a kernel without xt_hashlimit. A packet that IPVS hands on leaves by this hook, too (LOCAL_OUT), and
 * meets one rule.
 */
export function sparingResets(vip: string, facts: Facts): Resource[] {
  if (facts.iptables === "none" || facts.lacks?.includes("xt_hashlimit")) return [];
  const rule = (id: string, order: number, match: readonly string[], chain?: string) =>
    filterRule({ family: familyOf(vip), table: "filter", hook: "OUTPUT", id, order, match, ...(chain ? { chain } : {}) });
  const flow = ["--hashlimit-mode", "srcip,srcport,dstip,dstport", "--hashlimit-name", "trigon-resets"];
  const first = ["-m", "hashlimit", "--hashlimit-upto", "1/min", "--hashlimit-burst", heldBack, ...flow];
  return [
    rule("resets", ruleOrder.vipChain, ["-p", "tcp", "-m", "tcp", "--tcp-flags", "RST", "RST", "-g", "TRIGON-OUTPUT-R"]),
    rule(`reset:${vip}`, ruleOrder.drop, [...from(vip), "-p", "tcp", ...first, "-j", "DROP"], "R"),
  ];
}

/** What lets the clients of one service through to its VIP, and on to the host's own rules. */
export function openService(
  holder: "director" | "realServer",
  { vip, protocol, port: number, allow }: OpenService,
  facts: Facts,
): Resource[] {
  if (facts.iptables === "none") return [];
  const named = number === 0 ? ["-p", protocol] : port(protocol, "dport", number);
  const rule = (id: string, source: readonly string[]) =>
    input(
      vip,
      `vip-open:${holder}:${vip}:${protocol}:${number}${id}`,
      ruleOrder.accept,
      [...source, ...to(vip), ...named, "-j", "RETURN"],
      chainOf(vip),
    );
  if (allow.length === 0) return [rule("", [])];
  const own = allow.filter((network) => familyOf(network.split("/")[0]!) === familyOf(vip));
  return [...new Set(own)].map((network) => rule(`:${network}`, isEveryone(network) ? [] : ["-s", network]));
}

/**
 * Lets a service's clients, and word of what does not fit, past the host's own rules, whatever those drop: they come first. Before the closing
 * rules too, since these hand all that they let through on to the host's.
 */
export function letIn(service: OpenService, facts: Facts): Resource[] {
  const { vip } = service;
  if (facts.iptables === "none") return [];
  const chain = `A${chainOf(vip)}`;
  const { protocol, type, needed } = icmp[familyOf(vip)];
  const opened = openService("director", service, facts).flatMap((rule) => (rule.kind === "filterRule" ? rule : []));
  const accepted = (match: readonly string[]) => [...match.slice(0, match.indexOf("-j")), "-j", "ACCEPT"];
  return [
    input(vip, `let-in:${chain}`, ruleOrder.letIn, ["-d", lastBits(vip), "-j", `TRIGON-INPUT-${chain}`]),
    ...opened.map(({ id, match }) =>
      input(vip, id.replace(/^vip-open:director/, "let-in"), ruleOrder.accept, accepted(match), chain),
    ),
    input(
      vip,
      `let-in:${vip}:icmp`,
      ruleOrder.accept,
      [...to(vip), ...protocol, ...type, String(needed[0]), "-j", "ACCEPT"],
      chain,
    ),
  ];
}

/** iptables-save prints no source for the network of all addresses. */
const isEveryone = (network: string) => network.endsWith("/0");

const chainOf = (vip: string): string => String(lastNumber(vip) % chains);

/** The part of an address in which neighbours differ. */
function lastNumber(address: string): number {
  return hostPrefix(address) === 32 ? Number(address.split(".")[3]) : Number.parseInt(address.split(":").at(-1) || "0", 16);
}

/** All addresses with the same last bits, as iptables-save spells them. */
function lastBits(vip: string): string {
  const number = lastNumber(vip) % chains;
  if (hostPrefix(vip) === 32) return `0.0.0.${number}/0.0.0.${chains - 1}`;
  return `::${number === 0 ? "" : number.toString(16)}/::${(chains - 1).toString(16)}`;
}
