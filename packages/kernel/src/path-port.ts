import type { Encapsulation, IpvsDestinationResource } from "@trigon/model";
import { pathProbe } from "@trigon/model";
import { type IpvsClient, type IpvsDestination, type IpvsOperation, type IpvsServiceId, plainTunnel } from "@trigon/netlink";
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
