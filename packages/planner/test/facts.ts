import { type Facts, familyOf, inNetwork } from "@trigon/model";

interface FactsInput {
  hostname?: string;
  /** `eth0: ["192.0.2.21/24"]`; the first interface carries the default route. */
  legs: Record<string, string[]>;
  gateway?: string;
}

/** Facts of a small machine, as an agent would report them. */
export function factsOf({ hostname = "host", legs, gateway }: FactsInput): Facts {
  const interfaces = Object.entries(legs).map(([name, addresses], index) => ({
    name,
    mac: `02:00:00:00:${String(index).padStart(2, "0")}:01`,
    mtu: 1500,
    up: true,
    addresses: addresses.map((text) => {
      const [address = "", prefix = "32"] = text.split("/");
      return { address, prefix: Number(prefix) };
    }),
  }));
  const toward = (address: string) =>
    interfaces.find((leg) => leg.addresses.some((own) => inNetwork(address, own.address, own.prefix)))?.name ?? null;
  return {
    hostname,
    machineId: hostname,
    bootId: "boot-1",
    kernel: "6.1.0",
    architecture: "x64",
    interfaces: [
      { name: "lo", mac: null, mtu: 65536, up: true, addresses: [{ address: "127.0.0.1", prefix: 8 }] },
      ...interfaces,
    ],
    routes: gateway
      ? [{ family: familyOf(gateway), destination: null, prefix: 0, gateway, interface: toward(gateway), metric: 0 }]
      : [],
    resolvers: [],
    iptables: "nft",
  };
}
