import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { type LabHost, until } from "@trigon/lab";
import type { NodeView } from "@trigon/model";
import pg from "pg";
import type { RestClient } from "../../infra/demo/rest-client.ts";

/** Whether a line of `ipvsadm` is of a service that path probes or checks of VIPs go through, which is nobody's virtual service and changes with each probe. */
export const isOfProbes = (line: string) => / -f (21586|21590) /.test(line);

/** What the kernel of a host holds, as `ipvsadm` prints it, in an order of its own. */
export async function ipvsTable(host: LabHost): Promise<string> {
  const lines = (await host.sh("ipvsadm -Sn")).split("\n");
  return lines
    .filter((line) => !isOfProbes(line))
    .sort()
    .join("\n");
}

/** Rows of one statement, by a connection of its own. */
export async function sql<Row>(databaseUrl: string, statement: string, values: unknown[] = []): Promise<Row[]> {
  const client = new pg.Client({ connectionString: databaseUrl });
  client.on("error", () => undefined); // the server may be killed under it
  await client.connect();
  try {
    return (await client.query(statement, values)).rows as Row[];
  } finally {
    await client.end();
  }
}

/** The connection string of another database on the same server. */
export function otherDatabase(databaseUrl: string, name: string): string {
  const url = new URL(databaseUrl);
  url.pathname = `/${name}`;
  return url.href;
}

/** The process that listens on a port of this machine's loopback, as /proc tells it; undefined when nobody does. */
export function listenerPid(port: number): number | undefined {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const line = readFileSync("/proc/net/tcp", "utf8")
    .split("\n")
    .map((text) => text.trim().split(/\s+/))
    .find(([, local, , state]) => local?.endsWith(`:${hex}`) && state === "0A"); // listening
  const inode = line?.[9];
  if (inode === undefined) return undefined;
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .sort((a, b) => a - b)
    .find((pid) => holdsSocket(pid, inode));
}

function holdsSocket(pid: number, inode: string): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => linkOf(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`);
  } catch {
    return false; // it ended meanwhile
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** Waits until every node that takes part is connected. */
export async function allConnected(api: RestClient): Promise<void> {
  await until(
    "every node to be connected",
    async () => {
      const { data } = await api.call<{ data: NodeView[] }>("GET", "/nodes?limit=100");
      return data.every(({ state, isConnected }) => state !== "active" || isConnected);
    },
    { deadlineMs: 90_000, everyMs: 200 },
  );
}

/** Ends a node's part in the fleet for good. */
export async function retire(api: RestClient, nodeId: string): Promise<void> {
  const { headers } = await api.send("GET", `/api/v1/nodes/${nodeId}`);
  await api.call("POST", `/nodes/${nodeId}/decommission`, undefined, { "if-match": headers.etag! });
}
