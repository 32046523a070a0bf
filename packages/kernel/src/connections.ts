import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { resourceKey } from "@trigon/model";
import type { IpvsConnection } from "@trigon/reconciler";

/** The kernel's connection table, one line an entry (net/netfilter/ipvs/ip_vs_conn.c, ip_vs_conn_seq_show). IPv4 only: addresses are hex words. */
const path = "/proc/net/ip_vs_conn";

/** The IPv4 address of eight hex digits, as the file has it: the first digits come first. */
function addressOf(hex: string): string {
  return [0, 2, 4, 6].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)).join(".");
}

/** One line of the table; undefined for the heading, IPv6 entries, and templates (which have no client port). */
export function parseConnection(line: string): IpvsConnection | undefined {
  const found =
    /^(TCP|UDP|SCTP)\s+([0-9A-F]{8}) ([0-9A-F]{4}) ([0-9A-F]{8}) ([0-9A-F]{4}) ([0-9A-F]{8}) ([0-9A-F]{4}) (\S+)\s+(\d+)/.exec(
      line,
    );
  if (!found) return undefined;
  const [, name, client, clientPort, vip, port, rip, ripPort, state, expires] = found as unknown as string[];
  const number = (hex: string | undefined) => Number.parseInt(hex!, 16);
  if (number(clientPort) === 0) return undefined;
  const protocol = name!.toLowerCase() as IpvsConnection["protocol"];
  const service = resourceKey.ipvsService(protocol, addressOf(vip!), number(port));
  return {
    protocol,
    client: addressOf(client!),
    clientPort: number(clientPort),
    destination: resourceKey.ipvsDestination(service, addressOf(rip!), number(ripPort)),
    state: state!,
    expiresInSeconds: Number(expires),
  };
}

/** The entries of these destinations (keys). The whole table is read, line by line: not for every second. */
export async function readConnections(destinations: readonly string[], file = path): Promise<IpvsConnection[]> {
  const wanted = new Set(destinations);
  const found: IpvsConnection[] = [];
  try {
    for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
      const connection = parseConnection(line);
      if (connection && wanted.has(connection.destination)) found.push(connection);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error; // no ip_vs: no connections
  }
  return found;
}
