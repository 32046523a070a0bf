import { familyOf, inNetwork } from "@trigon/model";

/** A packet as a filter sees it, the first of its connection. */
export interface FilteredPacket {
  chain: "INPUT" | "FORWARD";
  /** IP protocol number. */
  protocol: number;
  source?: string;
  destination?: string;
  destinationPort?: number;
  /** The interface it comes in by. */
  in?: string;
  /** What tracking calls it; left out: NEW. */
  state?: "NEW" | "INVALID";
}

/** What becomes of it, and the rule or policy that decides. */
export interface FilterVerdict {
  isAccepted: boolean;
  /** As `iptables-save` prints it. */
  by: string;
}

interface Chain {
  policy: string;
  rules: { text: string; words: string[] }[];
}

/** IANA's numbers by the names that iptables-save prints. */
const protocols: Record<string, number> = { all: 0, icmp: 1, ipencap: 4, ipv4: 4, tcp: 6, udp: 17, gre: 47, sctp: 132 };

/** The `filter` table of an `iptables-save` text. Counters in front of rules are left away. */
export function filterTable(text: string): Map<string, Chain> {
  const chains = new Map<string, Chain>();
  let isFilter = false;
  for (const raw of text.split("\n")) {
    const line = raw.replace(/^\[\d+:\d+\] /, "").trim();
    if (line.startsWith("*")) isFilter = line === "*filter";
    if (!isFilter) continue;
    const [, name, policy] = /^:(\S+) (\S+)/.exec(line) ?? [];
    if (name && policy) chains.set(name, { policy, rules: [] });
    const words = line.match(/"[^"]*"|\S+/g) ?? [];
    if (words[0] === "-A") chains.get(words[1]!)?.rules.push({ text: line, words: words.slice(2) });
  }
  return chains;
}

/** The fate of a packet in a filter table. A rule with a match that is not known here is passed over: doctor rather misses than invents a fault. */
export function verdictOf(table: ReadonlyMap<string, Chain>, packet: FilteredPacket): FilterVerdict {
  const decided = walk(table, packet.chain, packet, 0);
  if (decided) return decided;
  const policy = table.get(packet.chain)?.policy ?? "ACCEPT";
  return { isAccepted: policy !== "DROP", by: `-P ${packet.chain} ${policy}` };
}

const deepest = 16;

function walk(table: ReadonlyMap<string, Chain>, name: string, packet: FilteredPacket, depth: number): FilterVerdict | undefined {
  if (depth > deepest) return undefined;
  for (const { text, words } of table.get(name)?.rules ?? []) {
    const target = matching(words, packet);
    if (target === undefined) continue;
    // Whoever goes there does not come back here.
    if (words.includes("-g")) return walk(table, target, packet, depth + 1);
    if (target === "ACCEPT") return { isAccepted: true, by: text };
    if (target === "DROP" || target === "REJECT") return { isAccepted: false, by: text };
    if (target === "RETURN") return undefined;
    const inner = table.has(target) ? walk(table, target, packet, depth + 1) : undefined;
    if (inner) return inner;
  }
  return undefined;
}

/** The target of a rule that takes the packet; undefined when it does not, or nobody here can tell. */
function matching(words: readonly string[], packet: FilteredPacket): string | undefined {
  let target: string | undefined;
  for (let at = 0; at < words.length; at++) {
    const isNot = words[at] === "!";
    if (isNot) at++;
    const option = words[at]!;
    const value = words[++at] ?? "";
    if (option === "-j" || option === "-g") {
      target = value;
      break; // what follows belongs to the target
    }
    const known = matches(option, value, packet);
    if (known === undefined || known === isNot) return undefined;
  }
  return target;
}

function matches(option: string, value: string, packet: FilteredPacket): boolean | undefined {
  switch (option) {
    case "-m":
    case "--comment":
      return true;
    case "-p": {
      const number = protocols[value] ?? Number(value);
      return number === 0 || number === packet.protocol;
    }
    case "-s":
      return packet.source === undefined ? undefined : isIn(packet.source, value);
    case "-d":
      return packet.destination === undefined ? undefined : isIn(packet.destination, value);
    case "-i":
      if (packet.in === undefined) return value === "lo" ? false : undefined;
      return value.endsWith("+") ? packet.in.startsWith(value.slice(0, -1)) : packet.in === value;
    case "--dport":
    case "--dports":
      return packet.destinationPort === undefined
        ? false
        : value.split(",").some((range) => inRange(packet.destinationPort!, range));
    case "--ctstate":
    case "--state":
      return value.split(",").includes(packet.state ?? "NEW");
    default:
      return undefined;
  }
}

function isIn(address: string, network: string): boolean {
  const [base = "", prefix = familyOf(address) === 4 ? "32" : "128"] = network.split("/");
  if (!/^\d+$/.test(prefix)) return isIPv4Masked(address, base, prefix);
  return inNetwork(address, base, Number(prefix));
}

/** A mask that is no prefix, as 0.0.0.31. Of IPv6 there is none here: only `iptables-save` is read. */
function isIPv4Masked(address: string, base: string, mask: string): boolean {
  const bytes = [address, base, mask].map((text) => text.split(".").map(Number));
  return bytes[2]!.every((bits, at) => (bytes[0]![at]! & bits) === (bytes[1]![at]! & bits));
}

function inRange(port: number, range: string): boolean {
  const [low, high = low] = range.split(":");
  return port >= Number(low || 0) && port <= Number(high || 65535);
}
