import { type Encapsulation, guePort, type LinkResource } from "@trigon/model";
import { port } from "./resources.ts";

/** What an encapsulation is to the kernel and on the wire. All of them go over IPv4. */
export interface Encapsulating {
  /** As people write it. */
  name: string;
  /** The modules of the receiving end. */
  modules: readonly string[];
  /** The device that takes the packet out. GUE's UDP port hands on IPIP: one device serves both. */
  device: LinkResource["type"];
  /** The device that would take packets from any stranger when up. */
  fallback: string;
  /** What the names of our devices end with. */
  suffix: string;
  /** IP protocol number (IANA) of the outer packet, and its UDP port where it has one. */
  protocol: number;
  port: number | null;
  /** Bytes that it adds to a packet: outer IPv4 header, UDP header, its own. */
  overhead: number;
}

export const encapsulations: Readonly<Record<Encapsulation, Encapsulating>> = {
  ipip: {
    name: "IPIP",
    modules: ["ipip"],
    device: "ipip",
    fallback: "tunl0",
    suffix: "",
    protocol: 4,
    port: null,
    overhead: 20,
  },
  gre: {
    name: "GRE",
    modules: ["ip_gre"],
    device: "gre",
    fallback: "gre0",
    suffix: "g",
    protocol: 47,
    port: null,
    overhead: 20 + 4,
  },
  gue: {
    name: "GUE",
    modules: ["ipip", "fou"],
    device: "ipip",
    fallback: "tunl0",
    suffix: "",
    protocol: 17,
    port: guePort,
    overhead: 20 + 8 + 4,
  },
};

/** The outer packet as iptables names it. */
export function outerPacket(encapsulation: Encapsulation): string[] {
  const outer = encapsulations[encapsulation];
  return outer.port === null ? ["-p", String(outer.protocol)] : port("udp", "dport", outer.port);
}
