import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { canonicalAddress, resourceKey } from "@trigon/model";
import type { IpvsConnection, IpvsConnectionEntry } from "@trigon/reconciler";

/** The kernel's connection table, one line an entry (net/netfilter/ipvs/ip_vs_conn.c, ip_vs_conn_seq_show). */
const path = "/proc/net/ip_vs_conn";

/** An address as the file has it: IPv4 as eight hex digits, the first come first; IPv6 as eight groups, none left out. */
function addressOf(text: string): string | undefined {
  if (text.includes(":")) return canonicalAddress(text);
  if (!/^[0-9A-F]{8}$/.test(text)) return undefined;
  return [0, 2, 4, 6].map((at) => Number.parseInt(text.slice(at, at + 2), 16)).join(".");
}

const protocols: Record<string, IpvsConnectionEntry["protocol"]> = { TCP: "tcp", UDP: "udp", SCTP: "sctp" };
const portOf = (hex: string) => Number.parseInt(hex, 16);

/** One line of the table; undefined for the heading, and for templates of firewall-mark services, which name no address. */
export function parseEntry(line: string): IpvsConnectionEntry | undefined {
  const [name = "", client = "", clientPort = "", vip = "", port = "", rip = "", ripPort = "", state, expires] =
    line.split(/\s+/);
  const protocol = protocols[name];
  if (!protocol || state === undefined || expires === undefined || !/^\d+$/.test(expires)) return undefined;
  const [from, address, to] = [addressOf(client), addressOf(vip), addressOf(rip)];
  if (from === undefined || address === undefined || to === undefined) return undefined;
  return {
    protocol,
    client: from,
    clientPort: portOf(clientPort) || null,
    address,
    port: portOf(port),
    destination: { address: to, port: portOf(ripPort) },
    state,
    expiresInSeconds: Number(expires),
  };
}

/** Shows every entry to `visit` until it has enough. The file is read line by line: not for every second. */
export async function eachConnection(visit: (entry: IpvsConnectionEntry) => "enough" | undefined, file = path): Promise<void> {
  try {
    for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
      const entry = parseEntry(line);
      if (entry && visit(entry) === "enough") return;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error; // no ip_vs: no connections
  }
}

/** The connections to these destinations (keys), templates left out. */
export async function readConnections(destinations: readonly string[], file = path): Promise<IpvsConnection[]> {
  const wanted = new Set(destinations);
  const found: IpvsConnection[] = [];
  await eachConnection((entry) => {
    const { protocol, client, clientPort, address, port, destination: to, state, expiresInSeconds } = entry;
    if (clientPort === null) return undefined;
    const destination = resourceKey.ipvsDestination(resourceKey.ipvsService(protocol, address, port), to.address, to.port);
    if (wanted.has(destination)) found.push({ protocol, client, clientPort, destination, state, expiresInSeconds });
    return undefined;
  }, file);
  return found;
}
