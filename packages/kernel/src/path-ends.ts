import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { canonicalAddress, familyOf, type Listener, type Protocol } from "@trigon/model";

/** What a real server's machine is like where packets for a VIP come in. Read without starting a program. */
export interface PathEnd {
  vipBound: boolean;
  /** Null: no tunnel was asked about. */
  tunnelUp: boolean | null;
  tunnelAddressed: boolean | null;
  /** Null for IPv6, which has none. */
  rpFilter: number | null;
  listener: Listener;
}

/** Where packets for a service come in: `entrance` is the interface, `isTunnel` whether it is a tunnel device of ours. */
export interface PathPlace {
  vip: string;
  protocol: Protocol;
  port: number;
  entrance: string | null;
  isTunnel: boolean;
}

/** Reads once what all services of a machine share, and answers how to tell of each. */
export function readPathEnds(): (place: PathPlace) => PathEnd {
  const interfaces = networkInterfaces();
  const read: Partial<Record<"tcp" | "udp", ListeningSockets>> = {};
  const socketsOf = (protocol: Protocol) => {
    const own = protocol === "udp" ? "udp" : "tcp";
    read[own] ??= listeningSockets(own);
    return read[own];
  };
  const bound = new Set(Object.values(interfaces).flatMap((own) => own?.map(({ address }) => canonicalAddress(address)) ?? []));
  return (place) => pathEnd(place, interfaces, bound, socketsOf(place.protocol));
}

function pathEnd(
  { vip, port, entrance, isTunnel }: PathPlace,
  interfaces: ReturnType<typeof networkInterfaces>,
  bound: ReadonlySet<string | undefined>,
  sockets: ListeningSockets,
): PathEnd {
  const has = (name: string, test: (address: string) => boolean) =>
    interfaces[name]?.some(({ address }) => test(address)) ?? false;
  return {
    vipBound: bound.has(vip),
    tunnelUp: isTunnel && entrance !== null ? isUp(entrance) : null,
    tunnelAddressed: isTunnel && entrance !== null ? has(entrance, (address) => address.includes(".")) : null,
    rpFilter: entrance === null || familyOf(vip) === 6 ? null : effectiveRpFilter(entrance),
    listener: listenerOf(sockets, vip, port),
  };
}

/** The effective rp_filter of an interface: the greater of its own and that of all; null when it cannot be read. */
export function effectiveRpFilter(interfaceName: string): number | null {
  const values = ["all", interfaceName].map((name) => Number.parseInt(text(`/proc/sys/net/ipv4/conf/${name}/rp_filter`), 10));
  return values.some(Number.isNaN) ? null : Math.max(...values);
}

/** IFF_UP of <linux/if.h>. */
function isUp(name: string): boolean {
  return (Number.parseInt(text(`/sys/class/net/${name}/flags`), 16) & 1) === 1;
}

/** Ports that sockets listen at, with their addresses in canonical spelling. */
export type ListeningSockets = ReadonlyMap<number, ReadonlySet<string>>;

/** Who listens at a port, as far as a VIP is concerned. */
export function listenerOf(sockets: ListeningSockets, vip: string, port: number): Listener {
  const addresses = sockets.get(port);
  if (!addresses) return "none";
  // Whether one for all of IPv6 takes IPv4 too is not told: nearly all do.
  const every = familyOf(vip) === 4 ? ["0.0.0.0", "::"] : ["::"];
  return [...every, vip].some((address) => addresses.has(address)) ? "vip" : "other";
}

/** The kernel lists TCP's listening sockets before all others: the beginning of the file holds them. So much of UDP's is a table of 30,000. */
const enoughBytes = { tcp: 256 * 1024, udp: 4 * 1024 * 1024 } as const;
type Listed = keyof typeof enoughBytes;
/** Used again and again: listeners are looked at all the time. */
let room: Buffer | undefined;

/** Sockets that listen now, in this network namespace; of UDP those that take packets from anybody. */
export function listeningSockets(protocol: Listed = "tcp"): ListeningSockets {
  return parseListening([head(protocol), head(`${protocol}6`)], protocol);
}

/** TCP_LISTEN and TCP_CLOSE (a UDP socket that is not connected) of <net/tcp_states.h>. */
const listeningState = { tcp: "0A", udp: "07" } as const satisfies Record<Listed, string>;

/** Listening sockets in the text of /proc/net/tcp and tcp6, or of udp and udp6. */
export function parseListening(texts: readonly string[], protocol: Listed = "tcp"): Map<number, Set<string>> {
  const pattern = new RegExp(`^\\s*\\d+: ([0-9A-F]+):([0-9A-F]{4}) \\S+ ${listeningState[protocol]} `);
  const found = new Map<number, Set<string>>();
  for (const line of texts.join("\n").split("\n")) {
    const match = pattern.exec(line);
    if (!match) continue;
    const port = Number.parseInt(match[2]!, 16);
    const addresses = found.get(port) ?? new Set();
    found.set(port, addresses.add(addressOf(match[1]!)));
  }
  return found;
}

/** Whether somebody is connected by TCP to one of these addresses of this machine. */
export function areConnected(addresses: ReadonlySet<string>): boolean {
  const lines = [head("tcp"), head("tcp6")].join("\n").split("\n");
  return lines.some((line) => {
    const match = /^\s*\d+: ([0-9A-F]+):[0-9A-F]{4} \S+ 01 /.exec(line);
    return match !== null && addresses.has(addressOf(match[1]!));
  });
}

/** An address as the kernel prints it, in words of the machine's byte order (little-endian on all that we run on). */
function addressOf(hex: string): string {
  const isMapped = hex.length === 32 && hex.startsWith("0000000000000000FFFF0000");
  const words = (isMapped ? hex.slice(-8) : hex).match(/.{8}/g)!.map((word) => word.match(/../g)!.reverse());
  if (words.length === 1) return words[0]!.map((byte) => Number.parseInt(byte, 16)).join(".");
  const groups = words.flatMap((bytes) => [bytes.slice(0, 2).join(""), bytes.slice(2).join("")]);
  return canonicalAddress(groups.join(":"))!;
}

/** The beginning of a table of /proc/net. */
function head(table: Listed | `${Listed}6`): string {
  const most = enoughBytes[table.startsWith("udp") ? "udp" : "tcp"];
  try {
    const file = openSync(`/proc/net/${table}`, "r");
    try {
      if (!room || room.length < most) room = Buffer.alloc(most);
      let length = 0;
      for (let read = -1; read !== 0 && length < most; length += read)
        read = readSync(file, room, length, Math.min(16_384, most - length), null);
      return room.toString("latin1", 0, length);
    } finally {
      closeSync(file);
    }
  } catch {
    return "";
  }
}

function text(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
