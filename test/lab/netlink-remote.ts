/**
 * Runs inside a lab host: one JSON line in, one out. Calls methods of @trigon/netlink in that host's network namespace, so
 * that a test on the machine can use them there.
 */
import { createInterface } from "node:readline";
import {
  CodecError,
  FouClient,
  IpvsClient,
  type IpvsOperation,
  isNetlinkError,
  NETLINK_GENERIC,
  NetlinkSocket,
  type RouteChange,
  RouteClient,
  RouteMonitor,
} from "@trigon/netlink";

const ipvs = await IpvsClient.open();
const fou = await FouClient.open();
const route = RouteClient.open();
const socket = NetlinkSocket.open(NETLINK_GENERIC);
const monitor = new RouteMonitor();
const changes: RouteChange[] = [];
monitor.on("change", (change) => changes.push(change));

/** `services` with `destinations` each; the same arguments make the same operations. */
function operations(op: "new" | "set", services: number, destinations: number): IpvsOperation[] {
  const all: IpvsOperation[] = [];
  for (let i = 0; i < services; i++) {
    const service = { family: "inet", protocol: 6, address: `10.20.${i >> 8}.${i & 255}`, port: 80 } as const;
    const netmask = "255.255.255.255";
    all.push({ op: `${op}Service`, service: { ...service, scheduler: "wrr", flags: 0, timeout: 0, netmask } });
    for (let j = 0; j < destinations; j++) {
      const rest = { forward: "droute", weight: j, upperThreshold: 0, lowerThreshold: 0 } as const;
      const destination = { family: "inet", address: `10.30.${j}.${(i % 250) + 1}`, port: 80, ...rest } as const;
      all.push({ op: `${op}Destination`, service, destination: { ...destination, tunnel: { type: "ipip", port: 0, flags: 0 } } });
    }
  }
  return all;
}

const targets: Record<string, object> = {
  ipvs,
  fou,
  route,
  raw: { request: async (hex: string) => void (await socket.request(Buffer.from(hex, "hex"), "raw")) },
  monitor: { take: () => changes.splice(0) },
  bulk: {
    familyId: () => ipvs.familyId,
    /** Codes and words of what failed, by index. */
    batch: async (op: "new" | "set", services: number, destinations: number) => {
      const results = await ipvs.batch(operations(op, services, destinations));
      return results.flatMap((error, index) => (error ? [[index, error.code, error.request]] : []));
    },
    count: async () => {
      const services = await ipvs.listServices();
      let destinations = 0;
      for (const { service } of services) destinations += (await ipvs.listDestinations(service)).length;
      return { services: services.length, destinations };
    },
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, target, method, args } = JSON.parse(line);
  const started = performance.now();
  let answer: object;
  try {
    const object = targets[target] as Record<string, (...args: unknown[]) => unknown>;
    answer = { value: await object[method]!(...args) };
  } catch (error) {
    if (isNetlinkError(error)) answer = { error: { code: error.code, message: error.message } };
    else answer = { error: { code: error instanceof CodecError ? "CodecError" : "bug", message: String(error) } };
  }
  const told = { id, ms: performance.now() - started, ...answer };
  process.stdout.write(`${JSON.stringify(told, (_, value) => (typeof value === "bigint" ? String(value) : value))}\n`);
}
process.exit(0);
