import {
  endpoint,
  type Forwarding,
  familyOf,
  type IpvsDestinationResource,
  type IpvsServiceResource,
  Scheduler,
  type TableRow,
  type VirtualServiceInput,
} from "@trigon/model";

/** A service in a director's table that Trigon did not make, with its real servers. */
export interface ForeignService {
  service: IpvsServiceResource;
  destinations: readonly IpvsDestinationResource[];
}

/** The foreign services among the rows of a node's table. Rows of an older agent say too little, and are left out. */
export function foreignServices(rows: readonly TableRow[]): ForeignService[] {
  const resources = rows.flatMap(({ state, resource }) => (state === "foreign" && resource ? [resource as unknown] : []));
  const isOf =
    <T extends { kind: string }>(kind: string) =>
    (one: unknown): one is T =>
      (one as T).kind === kind;
  const destinations = resources.filter(isOf<IpvsDestinationResource>("ipvsDestination"));
  return resources.filter(isOf<IpvsServiceResource>("ipvsService")).map((service) => ({
    service,
    destinations: destinations.filter((destination) => destination.service === service.key),
  }));
}

const forwardings: Record<IpvsDestinationResource["forward"], Forwarding> = { droute: "dr", tunnel: "tun", masq: "nat" };

/** The virtual service that means the very same to the kernel, or why there is none. Nothing is checked, so that no weight changes. */
export function adopted(
  { service, destinations }: ForeignService,
  name: string,
): { spec: VirtualServiceInput } | { refusal: string } {
  const { protocol, address: vip, port, flags, timeoutSeconds, netmask } = service;
  const scheduler = Scheduler.safeParse(service.scheduler);
  const isHashing = scheduler.data === "sh" || scheduler.data === "mh";
  const encapsulations = new Set(destinations.filter(({ forward }) => forward === "tunnel").map(({ tunnelType }) => tunnelType));
  if (protocol === "fwmark" || port === 0)
    return { refusal: "It takes a firewall mark or all ports, which a virtual service cannot." };
  if (!scheduler.success) return { refusal: `Its scheduler ${service.scheduler} is not known.` };
  if (flags.includes("sched3") || (!isHashing && (flags.includes("sched1") || flags.includes("sched2"))))
    return { refusal: "Its scheduler flags are not known." };
  if (destinations.length === 0) return { refusal: "It has no real server." };
  if (encapsulations.size > 1) return { refusal: "Its real servers use different encapsulations." };
  const first = forwardings[destinations[0]!.forward];
  return {
    spec: {
      name,
      description: `Adopted from ${endpoint(vip, port)}/${protocol}`,
      vip,
      protocol,
      port,
      forwarding: first,
      encapsulation: [...encapsulations][0] ?? "ipip",
      scheduler: scheduler.data,
      schedulerFlags: [
        ...(flags.includes("sched1") ? (["fallback"] as const) : []),
        ...(flags.includes("sched2") ? (["port"] as const) : []),
      ],
      persistence: flags.includes("persistent")
        ? { timeoutSeconds, granularity: netmask || (familyOf(vip) === 4 ? 32 : 128) }
        : null,
      onePacket: flags.includes("onePacket"),
      health: { check: { kind: "none" } },
      realServers: destinations.map((destination) => ({
        rip: destination.address,
        port: destination.port === port ? null : destination.port,
        weight: destination.weight,
        forwarding: forwardings[destination.forward] === first ? null : forwardings[destination.forward],
        upperThreshold: destination.upperThreshold,
        lowerThreshold: destination.lowerThreshold,
      })),
    } as VirtualServiceInput,
  };
}
