import {
  type Encapsulation,
  guePort,
  type IpvsDestinationResource,
  type IpvsServiceFlag,
  type IpvsServiceResource,
  type Protocol,
  pathProbe,
  protocolNumber,
  resourceKey,
  serviceKeyOf,
  vipCheck,
} from "@trigon/model";
import {
  CodecError,
  encodeBatch,
  familyOf,
  type IpvsClient,
  type IpvsDestination,
  type IpvsOperation,
  type IpvsService,
  type IpvsServiceId,
  type IpvsStats,
  type ObservedDestination,
  plainTunnel,
  type Reading,
  serviceFlag,
} from "@trigon/netlink";
import type { ActionResult, IpvsCounters, KernelCounters } from "@trigon/reconciler";
import type { ActionOn, Adapter } from "./adapter.ts";
import { done, failed, KernelError } from "./failure.ts";
import { endingConnections } from "./farewell.ts";

type IpvsKind = "ipvsService" | "ipvsDestination";
type IpvsResource = IpvsServiceResource | IpvsDestinationResource;

/** Up to here one question per service is cheaper than a dump of a table whose size is unknown. */
const ASKED_ONE_BY_ONE = 32;

/** In the time of one question a dump brings about so many services. */
const DUMPED_MEANWHILE = 8;

const probeServiceKeys = new Set(
  [pathProbe, vipCheck].flatMap(({ mark }) => ["0.0.0.0", "::"].map((any) => resourceKey.ipvsService("fwmark", any, mark))),
);

/** From here on it is worth to ask whether there is anything at all before the keys are taken apart. */
const MANY_KEYS = 2_000;

/** The IPVS table of this network namespace, by one netlink socket; changes travel many to a send. */
export class IpvsAdapter implements Adapter<IpvsKind> {
  readonly kinds = ["ipvsService", "ipvsDestination"] as const;
  readonly #open: () => Promise<IpvsClient | undefined>;
  /** What the last dump of services brought, and the last one of each service's destinations: what still stands so is not made anew. */
  #services: { reading: Reading<IpvsService>; resources: ReadonlyMap<string, IpvsServiceResource> } | undefined;
  #destinations = new Map<string, { reading: Reading<IpvsDestination>; resources: readonly IpvsDestinationResource[] }>();

  /** `open` answers undefined while the kernel has no IPVS loaded: the table is then empty. */
  constructor(open: () => Promise<IpvsClient | undefined>) {
    this.#open = open;
  }

  async observe(keys: readonly string[]): Promise<IpvsResource[]> {
    const client = await this.#open();
    if (!client) return [];
    const dumped = keys.length > MANY_KEYS ? await this.#readServices(client) : undefined;
    if (dumped?.size === 0) return [];
    const asked = new Map<string, { service: boolean; destinations: boolean }>();
    for (const key of keys) {
      const isService = key.startsWith("ipvsService ");
      const service = isService ? key : serviceKeyOf(key);
      let entry = asked.get(service);
      if (!entry) {
        entry = { service: false, destinations: false };
        asked.set(service, entry);
      }
      if (isService) entry.service = true;
      else entry.destinations = true;
    }
    const found: IpvsResource[] = [];
    let wanted: Set<string> | undefined; // made when there is something to look up in it
    const oneByOne = Math.max(ASKED_ONE_BY_ONE, (this.#services?.resources.size ?? 0) / DUMPED_MEANWHILE);
    const present = dumped ?? (asked.size > oneByOne ? await this.#readServices(client) : undefined);
    for (const [key, { service, destinations }] of asked) {
      const id = serviceIdOfKey(key);
      if (!id || (present && !present.has(key))) continue;
      if (service) {
        const resource = present ? present.get(key) : await this.#service(client, id);
        if (!resource) {
          this.#destinations.delete(key);
          continue; // then it has no destinations either
        }
        found.push(resource);
      }
      if (!destinations) continue;
      for (const resource of await this.#readDestinations(client, key, id)) {
        wanted ??= new Set(keys);
        if (wanted.has(resource.key)) found.push(resource);
      }
    }
    return found;
  }

  async observeAll(): Promise<IpvsResource[]> {
    const client = await this.#open();
    if (!client) return [];
    const found: IpvsResource[] = [];
    const services = await this.#readServices(client);
    for (const key of this.#destinations.keys()) if (!services.has(key)) this.#destinations.delete(key);
    for (const [key, service] of services) {
      found.push(service);
      if (probeServiceKeys.has(key)) continue; // their destinations come and go with each probe
      for (const destination of await this.#readDestinations(client, key, serviceIdOf(service))) found.push(destination);
    }
    return found;
  }

  async apply(actions: readonly ActionOn<IpvsKind>[]): Promise<ActionResult[]> {
    try {
      if (actions.some(({ op }) => op === "delete")) return await endingConnections(() => this.#carryOut(actions));
      return await this.#carryOut(actions);
    } catch (error) {
      return actions.map(() => failed(error, "change the IPVS table"));
    }
  }

  async #carryOut(actions: readonly ActionOn<IpvsKind>[]): Promise<ActionResult[]> {
    const client = await this.#open();
    if (!client) throw new KernelError("ENOENT", "Could not change the IPVS table: module ip_vs is not loaded");
    // As many as one send holds become messages at a time, in memory that the next use again.
    const size = client.batchMessages;
    if (actions.length <= size) return await applyBatch(client, actions);
    const results: ActionResult[] = [];
    for (let from = 0; from < actions.length; from += size)
      results.push(...(await applyBatch(client, actions.slice(from, from + size))));
    return results;
  }

  /** Counters of every service that a resource can name. */
  async counters(): Promise<Pick<KernelCounters, "services" | "destinations">> {
    const services: KernelCounters["services"] = new Map();
    const destinations: KernelCounters["destinations"] = new Map();
    const client = await this.#open();
    for (const { service, stats } of (await client?.listServices()) ?? []) {
      const resource = serviceResource(service);
      if (!resource) continue;
      services.set(resource.key, totals(stats));
      for (const seen of await client!.listDestinations(serviceIdOf(resource)))
        destinations.set(destinationResource(resource.key, seen.destination).key, destinationCounters(seen));
    }
    return { services, destinations };
  }

  /** Counters of these services (keys); those that are not there are left out. */
  async countersOf(keys: readonly string[]): Promise<Pick<KernelCounters, "services" | "destinations">> {
    const services: KernelCounters["services"] = new Map();
    const destinations: KernelCounters["destinations"] = new Map();
    const client = await this.#open();
    for (const key of client ? keys : []) {
      const id = serviceIdOfKey(key);
      const seen = id && (await client!.getService(id));
      if (!seen) continue;
      services.set(key, totals(seen.stats));
      for (const one of await client!.listDestinations(id))
        destinations.set(destinationResource(key, one.destination).key, destinationCounters(one));
    }
    return { services, destinations };
  }

  async #readServices(client: IpvsClient): Promise<ReadonlyMap<string, IpvsServiceResource>> {
    const reading = await client.readServices(this.#services?.reading);
    if (reading === this.#services?.reading) return this.#services.resources;
    const resources = new Map<string, IpvsServiceResource>();
    for (const service of reading.items) {
      const resource = serviceResource(service);
      if (resource) resources.set(resource.key, resource);
    }
    this.#services = { reading, resources };
    return resources;
  }

  async #readDestinations(client: IpvsClient, key: string, id: IpvsServiceId): Promise<readonly IpvsDestinationResource[]> {
    const before = this.#destinations.get(key);
    const reading = await client.readDestinations(id, before?.reading);
    if (reading === before?.reading) return before.resources;
    const resources = reading.items.map((destination) => destinationResource(key, destination));
    this.#destinations.set(key, { reading, resources });
    return resources;
  }

  async #service(client: IpvsClient, id: IpvsServiceId): Promise<IpvsServiceResource | undefined> {
    const observed = await client.getService(id);
    return observed && serviceResource(observed.service);
  }
}

async function applyBatch(client: IpvsClient, actions: readonly ActionOn<IpvsKind>[]): Promise<ActionResult[]> {
  try {
    const errors = await client.batch({ length: actions.length, at: (index) => operationOf(actions[index]!) });
    return errors.map((error) => (error ? failed(error, error.request) : done));
  } catch (error) {
    if (!(error instanceof CodecError || error instanceof KernelError)) throw error;
    return applyEncodable(client, actions);
  }
}

/** One value that the protocol cannot say must not fail its neighbours: such actions are sorted out, the rest is sent. */
async function applyEncodable(client: IpvsClient, actions: readonly ActionOn<IpvsKind>[]): Promise<ActionResult[]> {
  const refusals = actions.map((action) => {
    try {
      encodeBatch([operationOf(action)], client.familyId);
      return undefined;
    } catch (error) {
      const reason = error instanceof KernelError ? error : new KernelError("EINVAL", (error as Error).message);
      return failed(reason, `${action.op} ${(action.op === "delete" ? action.from : action.to).key}`);
    }
  });
  const rest = await applyBatch(
    client,
    actions.filter((_, index) => !refusals[index]),
  );
  return refusals.map((refusal) => refusal ?? rest.shift()!);
}

/** What it answers for a destination is good until the next call: a table has tens of thousands. */
function operationOf(action: ActionOn<IpvsKind>): IpvsOperation {
  if (action.op === "delete") {
    const { from } = action;
    if (from.kind === "ipvsService") return { op: "delService", service: serviceIdOf(from) };
    return { op: "delDestination", service: neededServiceId(from.service), destination: destinationIdOf(from) };
  }
  const { to } = action;
  if (to.kind === "ipvsService") return { op: action.op === "create" ? "newService" : "setService", service: serviceOf(to) };
  destinationChange.op = action.op === "create" ? "newDestination" : "setDestination";
  destinationChange.service = neededServiceId(to.service);
  sayDestination(destinationChange.destination, to);
  return destinationChange;
}

const protocolNames = new Map(Object.entries(protocolNumber).map(([name, number]) => [number as number, name as Protocol]));

function serviceIdOf({ protocol, address, port }: Pick<IpvsServiceResource, "protocol" | "address" | "port">): IpvsServiceId {
  if (protocol === "fwmark") return { family: familyOf(address), fwmark: port };
  return { family: familyOf(address), protocol: protocolNumber[protocol], address, port };
}

/** Undefined for a key that names no service. */
function serviceIdOfKey(key: string): IpvsServiceId | undefined {
  const [, protocol = "", address = "", port = ""] = key.split(" ");
  if (protocol === "fwmark") return { family: familyOf(address), fwmark: Number(port) };
  const number = (protocolNumber as Record<string, number>)[protocol];
  return number === undefined ? undefined : { family: familyOf(address), protocol: number, address, port: Number(port) };
}

/** Destinations come service by service: the key is not taken apart again for each. */
let last: { key: string; id: IpvsServiceId } | undefined;

function neededServiceId(key: string): IpvsServiceId {
  if (last?.key === key) return last.id;
  const id = serviceIdOfKey(key);
  if (!id) throw new KernelError("EINVAL", `${key} names no virtual service`);
  last = { key, id };
  return id;
}

const flagNames = ["persistent", "onePacket", "sched1", "sched2", "sched3"] as const satisfies readonly IpvsServiceFlag[];

function serviceOf(resource: IpvsServiceResource): IpvsService {
  const { scheduler, flags, timeoutSeconds, netmask, address } = resource;
  return {
    scheduler,
    flags: flags.reduce((bits, name) => bits | serviceFlag[name], 0),
    timeout: timeoutSeconds,
    netmask: familyOf(address) === "inet" ? dottedMask(netmask) : String(netmask),
    ...serviceIdOf(resource), // last: V8 then makes a quarter of the garbage
  };
}

/** What names a service in resources; undefined for another protocol. */
function nameOf(service: IpvsServiceId): Pick<IpvsServiceResource, "protocol" | "address" | "port"> | undefined {
  if (service.fwmark !== undefined)
    return { protocol: "fwmark", address: service.family === "inet" ? "0.0.0.0" : "::", port: service.fwmark };
  const protocol = protocolNames.get(service.protocol);
  return protocol && { protocol, address: service.address, port: service.port };
}

/** Undefined for services of a protocol that no resource can name. */
function serviceResource(service: IpvsService): IpvsServiceResource | undefined {
  const name = nameOf(service);
  if (!name) return undefined;
  const { protocol, address, port } = name;
  const { scheduler, timeout, netmask } = service;
  const flags = flagNames.filter((name) => (service.flags & serviceFlag[name]) !== 0);
  return {
    kind: "ipvsService",
    key: resourceKey.ipvsService(protocol, address, port),
    protocol,
    address,
    port,
    scheduler,
    flags,
    timeoutSeconds: flags.includes("persistent") ? timeout : 0,
    netmask: service.family === "inet" ? maskLength(netmask) : Number(netmask),
  };
}

const destinationIdOf = ({ address, port }: IpvsDestinationResource) => ({ family: familyOf(address), address, port });

/** How the kernel is told of an encapsulation. */
export const kernelTunnels: Readonly<Record<Encapsulation, IpvsDestination["tunnel"]>> = {
  ipip: plainTunnel,
  gre: { ...plainTunnel, type: "gre" },
  gue: { ...plainTunnel, type: "gue", port: guePort },
};

/** Filled anew for each destination. */
const destinationChange: Extract<IpvsOperation, { op: "newDestination" | "setDestination" }> = {
  op: "newDestination",
  service: { family: "inet", fwmark: 0 },
  destination: {
    family: "inet",
    address: "",
    port: 0,
    forward: "droute",
    weight: 0,
    upperThreshold: 0,
    lowerThreshold: 0,
    tunnel: plainTunnel,
  },
};

function sayDestination(destination: IpvsDestination, resource: IpvsDestinationResource): void {
  destination.family = familyOf(resource.address);
  destination.address = resource.address;
  destination.port = resource.port;
  destination.forward = resource.forward;
  destination.weight = resource.weight;
  destination.upperThreshold = resource.upperThreshold;
  destination.lowerThreshold = resource.lowerThreshold;
  destination.tunnel = kernelTunnels[resource.tunnelType];
}

function destinationResource(service: string, destination: IpvsDestination): IpvsDestinationResource {
  const { address, port, forward, weight, upperThreshold, lowerThreshold, tunnel } = destination;
  return {
    kind: "ipvsDestination",
    key: resourceKey.ipvsDestination(service, address, port),
    service,
    address,
    port,
    forward: forward === "masq" || forward === "tunnel" ? forward : "droute",
    weight,
    upperThreshold,
    lowerThreshold,
    tunnelType: encapsulationOf(tunnel),
  };
}

/** One that Trigon knows none of, such as GUE to another port, reads as plain, which it is not: it is put right. */
function encapsulationOf({ type, port }: IpvsDestination["tunnel"]): Encapsulation {
  return kernelTunnels[type].port === port ? type : "ipip";
}

/** The dotted IPv4 mask of a prefix length. */
function dottedMask(length: number): string {
  return [0, 8, 16, 24].map((bits) => 256 - 2 ** (8 - Math.min(8, Math.max(0, length - bits)))).join(".");
}

function maskLength(mask: string): number {
  return mask.split(".").reduce((length, part) => length + Number(part).toString(2).replaceAll("0", "").length, 0);
}

/** Numbers are exact up to nine petabytes. */
function totals(stats: IpvsStats): IpvsCounters {
  const { connections, inPackets, outPackets, inBytes, outBytes } = stats;
  return {
    connections: Number(connections),
    inPackets: Number(inPackets),
    outPackets: Number(outPackets),
    inBytes: Number(inBytes),
    outBytes: Number(outBytes),
  };
}

function destinationCounters({ destination, connections, stats }: ObservedDestination) {
  return { ...totals(stats), ...connections, weight: destination.weight };
}
