import type { Encapsulation, IpvsDestinationResource } from "@trigon/model";
import { pathProbe, vipCheck } from "@trigon/model";
import {
  type IpvsClient,
  type IpvsDestination,
  type IpvsOperation,
  type IpvsServiceId,
  isNetlinkError,
  plainTunnel,
} from "@trigon/netlink";
import { FilterRuleAdapter } from "./filter-rule.ts";
import { createIpvsOpener } from "./kernel.ts";
import { effectiveRpFilter } from "./path-ends.ts";

/** The one real server that probes go to. */
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

const service: IpvsServiceId = { family: "inet", fwmark: pathProbe.mark };
const tunnels: Record<Encapsulation, IpvsDestination["tunnel"]> = { ipip: plainTunnel, gre: { ...plainTunnel, type: "gre" } };

/** What health checks that go to a VIP do to the kernel. */
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
  const opener = createIpvsOpener();
  const service: IpvsServiceId = { family: "inet", fwmark: vipCheck.mark };
  let last: Promise<unknown> = Promise.resolve();
  /** Whether none may weigh that should not: an earlier run may have ended in between. */
  let isClean = false;
  const table = async () => {
    const client = await opener.open();
    if (!client) throw new Error("The kernel has no IPVS");
    return client;
  };
  const carryOut = async (operation: IpvsOperation) => (await (await table()).batch([operation]))[0];
  const clear = async () => {
    for (const { destination } of await (await table()).listDestinations(service)) {
      const error = await carryOut({ op: "delDestination", service, destination });
      if (error && !isNetlinkError(error, "ENOENT")) throw error;
    }
  };
  const weigh = async ({ address, forward, tunnelType }: PathDestination, weight: number) => {
    const limits = { weight, upperThreshold: 0, lowerThreshold: 0 };
    const tunnel = tunnels[forward === "tunnel" ? tunnelType : "ipip"];
    const destination: IpvsDestination = { family: "inet", address, port: 0, forward, ...limits, tunnel };
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
    close: opener.close,
  };
}

export function openPathPort(): PathPort {
  const opener = createIpvsOpener();
  const rules = new FilterRuleAdapter();
  const client = async (): Promise<IpvsClient> => {
    const opened = await opener.open();
    if (!opened) throw new Error("The kernel has no IPVS");
    return opened;
  };
  const carryOut = async (...operations: IpvsOperation[]) => {
    const [error] = (await (await client()).batch(operations)).filter((one) => one !== undefined);
    if (error) throw error;
  };
  return {
    async direct({ address, port, forward, tunnelType }) {
      const destination = { family: "inet", address, port: forward === "masq" ? port : 0 } as const;
      const limits = { weight: 1, upperThreshold: 0, lowerThreshold: 0 };
      const whole = { ...destination, forward, ...limits, tunnel: tunnels[forward === "tunnel" ? tunnelType : "ipip"] };
      await carryOut({ op: "newDestination", service, destination: whole });
      return () => carryOut({ op: "delDestination", service, destination });
    },
    async clear() {
      const opened = await opener.open();
      if (!opened || !(await opened.getService(service))) return;
      const left = await opened.listDestinations(service);
      for (const { destination } of left) await carryOut({ op: "delDestination", service, destination });
    },
    async packets() {
      return new Map([...(await rules.counters())].map(([key, { packets }]) => [key, packets]));
    },
    rpFilter: effectiveRpFilter,
    close: opener.close,
  };
}
