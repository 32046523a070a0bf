import { briefFragment, type DirectorServiceFragment } from "@trigon/model";
import type { IpvsOperation } from "@trigon/netlink";

/** The benches' rules: `services` TCP services with `destinations` real servers each, in DR with weight 1 and wlc. One source for every subject. */
export interface Rules {
  services: number;
  destinations: number;
  /** So many services, the first, have one real server more; left out: none. */
  larger?: number;
}

export const vipOf = (service: number) => `10.100.${service >> 8}.${service & 255}`;
export const ripOf = (service: number, destination: number) => {
  const number = service * 16 + destination;
  return `10.${110 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
};
const each = (count: number) => Array.from({ length: count }, (_, index) => index);
/** How many real servers a service has. */
export const destinationsOf = ({ destinations, larger = 0 }: Rules, service: number) => destinations + (service < larger ? 1 : 0);
/** How many services and destinations the kernel then holds. */
export const rulesOf = ({ services, destinations, larger = 0 }: Rules) => services * (1 + destinations) + larger;

/** For `ipvsadm -R`. */
export function ipvsadmRules({ services, destinations }: Rules): string {
  return each(services)
    .flatMap((service) => [
      `-A -t ${vipOf(service)}:80 -s wlc`,
      ...each(destinations).map((destination) => `-a -t ${vipOf(service)}:80 -r ${ripOf(service, destination)}:80 -g -w 1`),
    ])
    .join("\n")
    .concat("\n");
}

/** For keepalived, without checkers: real servers are up from the start. `extra` real servers more in the last service. */
export function keepalivedConf(rules: Rules, extra = 0): string {
  return each(rules.services)
    .map((service) => {
      const count = destinationsOf(rules, service) + (service === rules.services - 1 ? extra : 0);
      const real = each(count).map((destination) => `  real_server ${ripOf(service, destination)} 80 {\n    weight 1\n  }\n`);
      return `virtual_server ${vipOf(service)} 80 {\n  lvs_sched wlc\n  lvs_method DR\n  protocol TCP\n${real.join("")}}\n`;
    })
    .join("");
}

/** For the agent: the same as one plan, in the words of the controller, or (from `since`) the change that gives the last service `extra` real servers more. */
export function plan(rules: Rules, { generation = 1, extra = 0, since = null as number | null } = {}) {
  const { services } = rules;
  const fragment = (service: number): DirectorServiceFragment => ({
    id: `ds:vs_bench${service}`,
    hash: `${service}-${service === services - 1 ? extra : 0}`,
    generation,
    kind: "director.service",
    serviceId: `vs_bench${service}`,
    name: `bench ${service}`,
    vip: vipOf(service),
    protocol: "tcp",
    port: 80,
    scheduler: "wlc",
    schedulerFlags: [],
    persistence: null,
    onePacket: false,
    encapsulation: "ipip",
    snatSource: "vip",
    notrack: false,
    destinations: each(destinationsOf(rules, service) + (service === services - 1 ? extra : 0)).map((destination) => ({
      realServerId: `rs_bench${service}x${destination}`,
      rip: ripOf(service, destination),
      port: 80,
      forwarding: "dr",
      weight: 1,
      upperThreshold: 0,
      lowerThreshold: 0,
    })),
  });
  return {
    protocol: 1,
    fleetId: "fleet_bench",
    epoch: 1,
    generation,
    nodeId: "node_bench",
    since,
    observeOnly: false,
    allowMassRemoval: false,
    fragments: since === null ? each(services).map(fragment).map(briefFragment) : [briefFragment(fragment(services - 1))],
    tombstones: [],
  };
}

/** For the floor: the same changes as netlink operations. */
export function operations({ services, destinations }: Rules): IpvsOperation[] {
  const TCP = 6;
  const DIRECT = { type: "ipip", port: 0, flags: 0 } as const;
  return each(services).flatMap((service): IpvsOperation[] => {
    const id = { family: "inet", protocol: TCP, address: vipOf(service), port: 80 } as const;
    return [
      { op: "newService", service: { ...id, scheduler: "wlc", flags: 0, timeout: 0, netmask: "255.255.255.255" } },
      ...each(destinations).map(
        (destination): IpvsOperation => ({
          op: "newDestination",
          service: id,
          destination: {
            family: "inet",
            address: ripOf(service, destination),
            port: 80,
            forward: "droute",
            weight: 1,
            upperThreshold: 0,
            lowerThreshold: 0,
            tunnel: DIRECT,
          },
        }),
      ),
    ];
  });
}
