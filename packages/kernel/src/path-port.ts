import type { Encapsulation, IpvsDestinationResource } from "@trigon/model";
import { familyOf, pathProbe, vipCheck } from "@trigon/model";
import { type IpvsClient, type IpvsDestination, type IpvsOperation, type IpvsServiceId, isNetlinkError } from "@trigon/netlink";
import { endingConnections } from "./farewell.ts";
import { FilterRuleAdapter } from "./filter-rule.ts";
import { kernelTunnels } from "./ipvs.ts";
import { createIpvsOpener } from "./kernel.ts";
import { effectiveRpFilter } from "./path-ends.ts";

/** The one real server that probes go to, of its VIP's family. */
export interface PathDestination {
  address: string;
  /** Only NAT rewrites it: DR and Tunnel go to the VIP's own port. */
  port: number;
  forward: IpvsDestinationResource["forward"];
  tunnelType: Encapsulation;
}

/** What a prober of paths does to the kernel: it sets the one destination of the firewall-mark service, and reads what rules counted. */
export interface PathPort {
  /** Sends probes that way until the answer is called. Rejects when the kernel has no such service or will not take the destination. */
  direct(destination: PathDestination): Promise<() => Promise<void>>;
  /** Takes out what an earlier run may have left. */
  clear(): Promise<void>;
  /** Packets that each of our rules counted, by resource key. */
  packets(): Promise<Map<string, number>>;
  /** The effective rp_filter of an interface: the greater of its own and that of all; null when it cannot be read. */
  rpFilter(interfaceName: string): number | null;
  close(): Promise<void>;
}

const netFamily = (address: string) => (familyOf(address) === 4 ? "inet" : "inet6");

/** The real server that probes go to, as the kernel takes it. */
function kernelDestination({ address, port, forward, tunnelType }: PathDestination, weight: number): IpvsDestination {
  const limits = { weight, upperThreshold: 0, lowerThreshold: 0 };
  const tunnel = kernelTunnels[forward === "tunnel" ? tunnelType : "ipip"];
  return { family: netFamily(address), address, port: forward === "masq" ? port : 0, forward, ...limits, tunnel };
}

/** The kernel's table, which must be there. */
function openTable() {
  const opener = createIpvsOpener();
  const table = async (): Promise<IpvsClient> => {
    const client = await opener.open();
    if (!client) throw new Error("The kernel has no IPVS");
    return client;
  };
  /** Answers the kernel's refusal. */
  const carryOut = async (operation: IpvsOperation) => {
    const send = async () => (await (await table()).batch([operation]))[0];
    // A port that a later probe uses again must not lead to an earlier one's real server.
    return operation.op === "delDestination" ? endingConnections(send) : send();
  };
  return { ...opener, table, carryOut };
}

/** What health checks that go to a VIP (of IPv4) do to the kernel. */
export interface VipCheckPort {
  /**
   * Sends new connections of checks to this real server alone while `connect` runs; later packets of a connection keep its way. One at a time.
   * Rejects when the kernel has no such service or will not take the destination.
   */
  aim(destination: PathDestination, connect: () => Promise<void>): Promise<void>;
  close(): Promise<void>;
}

/** Destinations stay, weighing nothing but for their moment: without one, the kernel would drop the rest of its connections. */
export function openVipCheckPort(): VipCheckPort {
  const { table, carryOut, close } = openTable();
  const service: IpvsServiceId = { family: "inet", fwmark: vipCheck.mark };
  let last: Promise<unknown> = Promise.resolve();
  /** Whether none may weigh that should not: an earlier run may have ended in between. */
  let isClean = false;
  const clear = async () => {
    for (const { destination } of await (await table()).listDestinations(service)) {
      const error = await carryOut({ op: "delDestination", service, destination });
      if (error && !isNetlinkError(error, "ENOENT")) throw error;
    }
  };
  const weigh = async (aimed: PathDestination, weight: number) => {
    const destination = kernelDestination(aimed, weight);
    const error = await carryOut({ op: "setDestination", service, destination });
    if (!error) return;
    if (!isNetlinkError(error, "ENOENT")) throw error;
    const refusal = await carryOut({ op: "newDestination", service, destination });
    if (refusal) throw refusal;
  };
  return {
    aim(destination, connect) {
      const turn = last.then(async () => {
        if (!isClean) await clear();
        isClean = false;
        await weigh(destination, 1);
        try {
          await connect();
        } finally {
          await weigh(destination, 0);
        }
        isClean = true;
      });
      last = turn.catch(() => undefined);
      return turn;
    },
    close,
  };
}

export function openPathPort(): PathPort {
  const { open, carryOut, close } = openTable();
  const serviceOf = (family: IpvsServiceId["family"]): IpvsServiceId => ({ family, fwmark: pathProbe.mark });
  const rules = new FilterRuleAdapter();
  const insist = async (operation: IpvsOperation) => {
    const refusal = await carryOut(operation);
    if (refusal) throw refusal;
  };
  return {
    async direct(aimed) {
      const destination = kernelDestination(aimed, 1);
      const service = serviceOf(destination.family);
      await insist({ op: "newDestination", service, destination });
      return () => insist({ op: "delDestination", service, destination });
    },
    async clear() {
      const client = await open();
      for (const service of [serviceOf("inet"), serviceOf("inet6")]) {
        if (!client || !(await client.getService(service))) continue;
        for (const { destination } of await client.listDestinations(service))
          await insist({ op: "delDestination", service, destination });
      }
    },
    async packets() {
      return new Map([...(await rules.counters())].map(([key, { packets }]) => [key, packets]));
    },
    rpFilter: effectiveRpFilter,
    close,
  };
}
