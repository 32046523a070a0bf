import { CodecError, eachAttribute } from "./codec.ts";
import type { NetlinkError } from "./errors.ts";
import { beginGeneric, GENL_HEADER, type GenericFamily, resolveFamily } from "./genl.ts";
import { AF_INET, AF_INET6, type Family, familyNumber, familyOf, formatInet, parseInet, parseInet4 } from "./inet.ts";
import {
  type CommandRequest,
  commandReply,
  commandRequest,
  type DestinationReply,
  type DestinationRequest,
  destinationCommand,
  IPVS_FAMILY,
  IPVS_VERSION,
  infoAttributes,
  ipvsCommand,
  type ServiceReply,
  type ServiceRequest,
  serviceFlag,
  serviceRequest,
  type WireDaemon,
  type WireStats32,
  type WireStats64,
} from "./ipvs-wire.ts";
import { endMessage, type Message } from "./message.ts";
import { NETLINK_GENERIC, NetlinkSocket, type TransportOptions } from "./transport.ts";
import { Writer } from "./writer.ts";

/** A service is named by protocol, address and port, or by a firewall mark alone. `protocol` is IPPROTO_*: 6 TCP, 17 UDP, 132 SCTP. */
export type IpvsServiceId =
  | { family: Family; protocol: number; address: string; port: number; fwmark?: undefined }
  | { family: Family; fwmark: number; protocol?: undefined; address?: undefined; port?: undefined };

export interface IpvsServiceConfig {
  scheduler: string;
  /** Bits of `serviceFlag`; the kernel's own `hashed` is left out of what is read. */
  flags: number;
  /** Persistence in seconds; counts only with the `persistent` flag. */
  timeout: number;
  /** Which clients count as one for persistence: a dotted mask for IPv4, a prefix length in text for IPv6 (as `ipvsadm -M`). */
  netmask: string;
  /** `sip`, or none. */
  persistenceEngine?: string;
}

export type IpvsService = IpvsServiceId & IpvsServiceConfig;

/** IP_VS_CONN_F_* of <linux/ip_vs.h>, in the order of their numbers. */
export const forwardMethods = ["masq", "local", "tunnel", "droute", "bypass"] as const;
export type ForwardMethod = (typeof forwardMethods)[number];
/** IP_VS_CONN_F_TUNNEL_TYPE_* of <linux/ip_vs.h>, in the order of their numbers. */
export const tunnelTypes = ["ipip", "gue", "gre"] as const;
export type TunnelType = (typeof tunnelTypes)[number];
/** IP_VS_TUNNEL_ENCAP_FLAG_*: how the outer UDP or GRE header is checksummed. */
export const tunnelFlag = { noChecksum: 0, checksum: 1, remoteChecksum: 2 } as const;

export interface IpvsDestinationId {
  family: Family;
  address: string;
  port: number;
}

export interface IpvsDestination extends IpvsDestinationId {
  forward: ForwardMethod;
  weight: number;
  /** Connections at which it gets no new ones, and below which it gets them again; 0 is no threshold. */
  upperThreshold: number;
  lowerThreshold: number;
  /** Always sent, whatever the forward: SET_DEST resets a tunnel that is not named to plain IPIP. `port` counts for GUE. */
  tunnel: { type: TunnelType; port: number; flags: number };
}

/** The tunnel of a destination that has none of its own to speak of, as the kernel reports it. */
export const plainTunnel: IpvsDestination["tunnel"] = { type: "ipip", port: 0, flags: 0 };

/** Totals since creation or the last zero (bigint), and the kernel's two-second averages per second (number). */
export interface IpvsStats {
  connections: bigint;
  inPackets: bigint;
  outPackets: bigint;
  inBytes: bigint;
  outBytes: bigint;
  connectionsPerSecond: number;
  inPacketsPerSecond: number;
  outPacketsPerSecond: number;
  inBytesPerSecond: number;
  outBytesPerSecond: number;
}

/** What was configured, apart from what was counted: only the first is ever compared. */
export interface ObservedService {
  service: IpvsService;
  stats: IpvsStats;
}

export interface ObservedDestination {
  destination: IpvsDestination;
  connections: { active: number; inactive: number; persistent: number };
  stats: IpvsStats;
}

export interface IpvsDaemon {
  state: "master" | "backup";
  interface: string;
  /** 0 to 255; a backup with 0 takes messages of any. */
  syncId: number;
  /** Bytes of one sync message; by default what fits the interface's MTU. */
  maxLength?: number;
  /** Multicast group, IPv4 or IPv6; 224.0.0.81 by default. */
  group?: string;
  /** 8848 by default. */
  port?: number;
  ttl?: number;
}

/** Seconds; SET_CONFIG leaves alone what is absent or 0. */
export interface IpvsTimeouts {
  tcp: number;
  tcpFin: number;
  udp: number;
}

export interface IpvsInfo {
  /** `1.2.1`. */
  version: string;
  connectionTableSize: number;
}

/** A change that `batch` can carry. */
export type IpvsOperation =
  | { op: "newService" | "setService"; service: IpvsService }
  | { op: "delService"; service: IpvsServiceId }
  | { op: "newDestination" | "setDestination"; service: IpvsServiceId; destination: IpvsDestination }
  | { op: "delDestination"; service: IpvsServiceId; destination: IpvsDestinationId };

/** A run of changes, an array for example. What `at` answers is used at once and not kept: it may be the same object each time. */
export interface IpvsOperations {
  readonly length: number;
  at(index: number): IpvsOperation | undefined;
}

/**
 * The bytes of a run of changes, ready for `NetlinkSocket.batch`, which fills in the sequence numbers. Throws CodecError when
 * a value cannot be said in the protocol (an address that is none, a scheduler name over 15 bytes, a negative weight).
 * They are a view of `writer`, when one is given: valid until its next use.
 */
export function encodeBatch(
  operations: IpvsOperations,
  familyId: number,
  writer = new Writer(64 + operations.length * 176),
): Buffer {
  let named: { id: IpvsServiceId; bytes: Uint8Array } | undefined; // destinations mostly come in runs of one service
  let last: Encoded | undefined;
  for (let index = 0; index < operations.length; index++) {
    const operation = operations.at(index)!;
    if (!("destination" in operation)) {
      writeOperation(writer, operation, familyId);
      continue;
    }
    const { op, service: id } = operation;
    if (!named || !isSameService(named.id, id)) {
      named = { id, bytes: serviceRequest.encode(serviceIdToWire(id)) };
      last = undefined;
    }
    if (op !== "delDestination" && last?.op === op && writeAlike(writer, last, operation.destination)) continue;
    const start = beginGeneric(writer, familyId, ipvsCommand[op], IPVS_VERSION);
    destinationCommand.write(writer, { service: named.bytes, destination: destinationOf(operation) });
    endMessage(writer, start);
    last = op !== "delDestination" && operation.destination.family === "inet" ? { op, start, end: writer.position } : undefined;
  }
  return writer.written();
}

/** Where a message about an IPv4 destination lies: the next of the same service differs in a few fields. */
interface Encoded {
  op: IpvsOperation["op"];
  start: number;
  end: number;
}

/** Offsets of the fields of `destinationRequest`, whose attributes end a message, from the message's end. */
const field = {
  address: -88,
  port: -68,
  forward: -60,
  weight: -52,
  upperThreshold: -44,
  lowerThreshold: -36,
  tunnelType: -20,
  tunnelPort: -12,
  tunnelFlags: -4,
} as const;

const isU16 = (value: number) => (value & 0xffff) === value;
const isU32 = (value: number) => value >>> 0 === value;

/**
 * Appends a copy of the message before, for another destination: a plan has tens of thousands. Answers false, with nothing written, where it is
 * not sure: the tables then write it, or say what is wrong.
 */
function writeAlike(writer: Writer, { start, end }: Encoded, destination: IpvsDestination): boolean {
  const { family, address, port, forward, weight, upperThreshold, lowerThreshold, tunnel } = destination;
  const type = tunnelTypes.indexOf(tunnel.type);
  const isPlain = family === "inet" && type >= 0 && isU16(port) && isU16(tunnel.port) && isU16(tunnel.flags);
  if (!isPlain || !isU32(weight) || !isU32(upperThreshold) || !isU32(lowerThreshold)) return false;
  const at = writer.reserve(end - start);
  const { buffer, position } = writer;
  buffer.copyWithin(at, start, end);
  if (!parseInet4(address, buffer, position + field.address)) {
    writer.position = at;
    return false;
  }
  buffer[position + field.port] = port >>> 8;
  buffer[position + field.port + 1] = port;
  writer.setU32(position + field.forward, forwardMethods.indexOf(forward));
  writer.setU32(position + field.weight, weight);
  writer.setU32(position + field.upperThreshold, upperThreshold);
  writer.setU32(position + field.lowerThreshold, lowerThreshold);
  buffer[position + field.tunnelType] = type;
  buffer[position + field.tunnelPort] = tunnel.port >>> 8;
  buffer[position + field.tunnelPort + 1] = tunnel.port;
  writer.setU16(position + field.tunnelFlags, tunnel.flags);
  return true;
}

const isSameService = (one: IpvsServiceId, other: IpvsServiceId): boolean =>
  one === other ||
  (one.family === other.family &&
    one.protocol === other.protocol &&
    one.address === other.address &&
    one.port === other.port &&
    one.fwmark === other.fwmark);

/** A change in words, for errors: `newDestination 10.0.0.1:80 of tcp 192.0.2.1:80`. */
export function describeOperation(operation: IpvsOperation): string {
  const service = describeService(operation.service);
  return "destination" in operation
    ? `${operation.op} ${endpoint(operation.destination)} of ${service}`
    : `${operation.op} ${service}`;
}

/** What a dump said, without its counters. */
export interface Reading<T> {
  readonly items: readonly T[];
  /** The bytes that said it: where these are the same, `items` are. */
  readonly settings: Buffer;
}

/** Where replies have what they are about, and which of its attributes only count. */
interface Place {
  type: number;
  counters: ReadonlySet<number>;
}

/**
 * The IPVS family of this network namespace, one request at a time. Errors are NetlinkError: EEXIST a duplicate, ESRCH no such
 * service, ENOENT no such destination or scheduler module, EINVAL and ERANGE what the kernel will not have.
 */
export class IpvsClient {
  readonly #socket: NetlinkSocket;
  readonly #family: GenericFamily;
  /** The buffer of the batch before: memory that was touched once is cheaper than new. */
  #spare: Writer | undefined;
  /** What `#read` compares, filled anew each time. */
  readonly #settings = new Writer(8192);

  private constructor(socket: NetlinkSocket, family: GenericFamily) {
    this.#socket = socket;
    this.#family = family;
  }

  /** Opens a socket and finds the family; ENOENT while the ip_vs module is not loaded. Open anew after the module was reloaded: its id changes. */
  static async open(options?: TransportOptions): Promise<IpvsClient> {
    const socket = NetlinkSocket.open(NETLINK_GENERIC, options);
    try {
      return await IpvsClient.over(socket);
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /** A client on a socket that is already open; `close` closes it. */
  static async over(socket: NetlinkSocket): Promise<IpvsClient> {
    return new IpvsClient(socket, await resolveFamily(socket, IPVS_FAMILY));
  }

  /** The same where the family's number is known, or does not matter: nobody is asked. */
  static of(socket: NetlinkSocket, familyId: number): IpvsClient {
    return new IpvsClient(socket, { id: familyId, version: IPVS_VERSION });
  }

  /** As many changes as travel in one send. */
  get batchMessages(): number {
    return this.#socket.batchMessages;
  }

  /** The kernel's number of the family, for `encodeBatch`. */
  get familyId(): number {
    return this.#family.id;
  }

  close(): void {
    this.#socket.close();
  }

  /** Every service. Not atomic: changes made while it reads may be missed or seen twice. */
  async listServices(): Promise<ObservedService[]> {
    const parts = await this.#dump(ipvsCommand.getService, {}, "list services");
    return parts.map((part) => observedService(decode(part).service));
  }

  /** The same without counters; `before` is answered again, the very object, where nothing but counters changed since. */
  async readServices(before?: Reading<IpvsService>): Promise<Reading<IpvsService>> {
    const parts = await this.#dump(ipvsCommand.getService, {}, "list services");
    return this.#read(parts, before, inReply.service, (part) => serviceFromWire(decode(part).service));
  }

  /** One service, or undefined when there is none. */
  async getService(id: IpvsServiceId): Promise<ObservedService | undefined> {
    const what = `getService ${describeService(id)}`;
    try {
      const [reply] = await this.#request(ipvsCommand.getService, { service: serviceIdToWire(id) }, what);
      return reply && observedService(decode(reply).service);
    } catch (error) {
      if ((error as NetlinkError).code === "ESRCH") return undefined;
      throw error;
    }
  }

  /** The destinations of a service. The kernel answers with none for a service that does not exist. */
  async listDestinations(service: IpvsServiceId): Promise<ObservedDestination[]> {
    const command = { service: serviceIdToWire(service) };
    const parts = await this.#dump(ipvsCommand.getDestination, command, `list destinations of ${describeService(service)}`);
    return parts.map((part) => observedDestination(decode(part).destination, service.family));
  }

  /** The same without counters; `before` is answered again, the very object, where nothing but counters changed since. */
  async readDestinations(service: IpvsServiceId, before?: Reading<IpvsDestination>): Promise<Reading<IpvsDestination>> {
    const command = { service: serviceIdToWire(service) };
    const parts = await this.#dump(ipvsCommand.getDestination, command, `list destinations of ${describeService(service)}`);
    const decoded = (part: Message) => destinationFromWire(decode(part).destination, service.family);
    return this.#read(parts, before, inReply.destination, decoded);
  }

  /** Takes replies apart only where their bytes are not those of the reading before: a table mostly stands as it stood. */
  #read<T>(parts: Message[], before: Reading<T> | undefined, where: Place, decoded: (part: Message) => T): Reading<T> {
    this.#settings.position = 0;
    for (const { payload } of parts) writeSettings(this.#settings, payload, where);
    const settings = this.#settings.written();
    if (before?.settings.equals(settings)) return before;
    return { settings: Buffer.from(settings), items: parts.map(decoded) };
  }

  newService(service: IpvsService): Promise<void> {
    return this.#change({ op: "newService", service });
  }

  setService(service: IpvsService): Promise<void> {
    return this.#change({ op: "setService", service });
  }

  delService(service: IpvsServiceId): Promise<void> {
    return this.#change({ op: "delService", service });
  }

  newDestination(service: IpvsServiceId, destination: IpvsDestination): Promise<void> {
    return this.#change({ op: "newDestination", service, destination });
  }

  setDestination(service: IpvsServiceId, destination: IpvsDestination): Promise<void> {
    return this.#change({ op: "setDestination", service, destination });
  }

  delDestination(service: IpvsServiceId, destination: IpvsDestinationId): Promise<void> {
    return this.#change({ op: "delDestination", service, destination });
  }

  /** Carries out changes in order, many to a send; see `NetlinkSocket.batch` for what the result means. */
  async batch(operations: IpvsOperations): Promise<(NetlinkError | undefined)[]> {
    const writer = this.#spare ?? new Writer(64 + this.batchMessages * 176);
    this.#spare = undefined; // somebody else's batch meanwhile gets a buffer of its own
    writer.position = 0;
    try {
      const bytes = encodeBatch(operations, this.#family.id, writer);
      return await this.#socket.batch(bytes, (index) => describeOperation(operations.at(index)!));
    } finally {
      this.#spare = writer;
    }
  }

  /** Zeroes the counters of one service and its destinations, or of all. */
  async zero(service?: IpvsServiceId): Promise<void> {
    const command = service ? { service: serviceIdToWire(service) } : {};
    await this.#request(ipvsCommand.zero, command, `zero ${service ? describeService(service) : "all services"}`);
  }

  /** The timeouts of established TCP, closing TCP and UDP. */
  async getConfig(): Promise<IpvsTimeouts> {
    const [reply] = await this.#request(ipvsCommand.getConfig, {}, "getConfig");
    const { timeoutTcp, timeoutTcpFin, timeoutUdp } = reply ? decode(reply) : {};
    return { tcp: need(timeoutTcp, "tcp"), tcpFin: need(timeoutTcpFin, "tcpFin"), udp: need(timeoutUdp, "udp") };
  }

  async setConfig({ tcp, tcpFin, udp }: Partial<IpvsTimeouts>): Promise<void> {
    const command = { timeoutTcp: tcp, timeoutTcpFin: tcpFin, timeoutUdp: udp };
    await this.#request(ipvsCommand.setConfig, command, "setConfig");
  }

  /** The sync daemons: at most one master and one backup. */
  async listDaemons(): Promise<IpvsDaemon[]> {
    const parts = await this.#dump(ipvsCommand.getDaemon, {}, "list daemons");
    return parts.map((part) => daemonFromWire(decode(part).daemon));
  }

  async newDaemon(daemon: IpvsDaemon): Promise<void> {
    await this.#request(ipvsCommand.newDaemon, { daemon: daemonToWire(daemon) }, `newDaemon ${daemon.state}`);
  }

  /** The kernel checks that interface and sync id are there, and stops the daemon of that state whatever they are. */
  async delDaemon(daemon: Pick<IpvsDaemon, "state" | "interface" | "syncId">): Promise<void> {
    await this.#request(ipvsCommand.delDaemon, { daemon: daemonToWire(daemon) }, `delDaemon ${daemon.state}`);
  }

  async getInfo(): Promise<IpvsInfo> {
    const [reply] = await this.#request(ipvsCommand.getInfo, {}, "getInfo");
    const info = reply && infoAttributes.decode(reply.payload.subarray(GENL_HEADER));
    const version = need(info?.version, "version");
    return {
      version: `${(version >> 16) & 0xff}.${(version >> 8) & 0xff}.${version & 0xff}`,
      connectionTableSize: need(info?.connectionTableSize, "connectionTableSize"),
    };
  }

  async #change(operation: IpvsOperation): Promise<void> {
    const writer = new Writer(256);
    writeOperation(writer, operation, this.#family.id);
    await this.#socket.request(writer.written(), describeOperation(operation));
  }

  #request(command: number, body: CommandRequest, what: string): Promise<Message[]> {
    return this.#socket.request(encodeCommand(this.#family.id, command, body), what);
  }

  #dump(command: number, body: CommandRequest, what: string): Promise<Message[]> {
    return this.#socket.dump(encodeCommand(this.#family.id, command, body), what);
  }
}

/** One message of the family, sequence still to be filled in. */
export function encodeCommand(familyId: number, command: number, body: CommandRequest): Buffer {
  const writer = new Writer(256);
  writeCommand(writer, familyId, command, body);
  return writer.written();
}

function writeOperation(writer: Writer, operation: IpvsOperation, familyId: number): void {
  writeCommand(writer, familyId, ipvsCommand[operation.op], operationToWire(operation));
}

function writeCommand(writer: Writer, familyId: number, command: number, body: CommandRequest): void {
  const start = beginGeneric(writer, familyId, command, IPVS_VERSION);
  commandRequest.write(writer, body);
  endMessage(writer, start);
}

function operationToWire(operation: IpvsOperation): CommandRequest {
  switch (operation.op) {
    case "newService":
    case "setService":
      return { service: serviceToWire(operation.service) };
    case "delService":
      return { service: serviceIdToWire(operation.service) };
    default:
      return { service: serviceIdToWire(operation.service), destination: destinationOf(operation) };
  }
}

const destinationOf = (operation: Extract<IpvsOperation, { destination: unknown }>): DestinationRequest =>
  operation.op === "delDestination" ? destinationIdToWire(operation.destination) : destinationToWire(operation.destination);

/** IPVS_SVC_ATTR_STATS and STATS64; IPVS_DEST_ATTR_ACTIVE_CONNS to STATS, and STATS64, of <linux/ip_vs.h>. */
const inReply = {
  service: { type: 1, counters: new Set([10, 12]) },
  destination: { type: 2, counters: new Set([7, 8, 9, 10, 12]) },
} satisfies Record<string, Place>;

/** Appends a reply's attributes that do not count, as they came; neighbours in one copy. */
function writeSettings(writer: Writer, payload: Buffer, { type: outer, counters }: Place): void {
  eachAttribute(payload, GENL_HEADER, payload.length, (type, from, to) => {
    if (type !== outer) return;
    let [start, end] = [from, from];
    eachAttribute(payload, from, to, (inner, valueFrom, valueTo) => {
      if (counters.has(inner)) return;
      const header = valueFrom - 4;
      if (header !== end) {
        writeBytes(writer, payload, start, end);
        start = header;
      }
      end = Math.min(to, (valueTo + 3) & ~3);
    });
    writeBytes(writer, payload, start, end);
  });
}

function writeBytes(writer: Writer, bytes: Buffer, start: number, end: number): void {
  if (end <= start) return;
  const at = writer.reserve(end - start);
  bytes.copy(writer.buffer, at, start, end);
}

const decode = (message: Message) => commandReply.decode(message.payload.subarray(GENL_HEADER));

export function serviceIdToWire(id: IpvsServiceId): ServiceRequest {
  const family = familyNumber(id.family);
  if (id.fwmark !== undefined) return { family, fwmark: id.fwmark };
  return { family, protocol: id.protocol, address: addressOf(id.address, id.family), port: id.port };
}

export function serviceToWire(service: IpvsService): ServiceRequest {
  const wire = serviceIdToWire(service);
  wire.scheduler = service.scheduler;
  wire.flags = { flags: service.flags, mask: 0xffff_ffff };
  wire.timeout = service.timeout;
  wire.netmask = netmaskToWire(service.netmask, service.family);
  if (service.persistenceEngine) wire.persistenceEngine = service.persistenceEngine;
  return wire;
}

export function serviceFromWire(wire: ServiceReply | undefined): IpvsService {
  const family = familyFromWire(wire?.family);
  const fwmark = wire?.fwmark;
  const id: IpvsServiceId = fwmark
    ? { family, fwmark }
    : {
        family,
        protocol: need(wire?.protocol, "protocol"),
        address: addressText(wire?.address, family),
        port: need(wire?.port, "port"),
      };
  return {
    ...id,
    scheduler: need(wire?.scheduler, "scheduler"),
    flags: need(wire?.flags, "flags").flags & ~serviceFlag.hashed,
    timeout: need(wire?.timeout, "timeout"),
    netmask: netmaskFromWire(need(wire?.netmask, "netmask"), family),
    ...(wire?.persistenceEngine && { persistenceEngine: wire.persistenceEngine }),
  };
}

export function destinationIdToWire({ family, address, port }: IpvsDestinationId): DestinationRequest {
  return { address: addressOf(address, family), port, family: familyNumber(family) };
}

export function destinationToWire(destination: IpvsDestination): DestinationRequest {
  const { family, address, port, forward, weight, upperThreshold, lowerThreshold, tunnel } = destination;
  return {
    address: addressOf(address, family),
    port,
    forward: forwardMethods.indexOf(forward),
    weight,
    upperThreshold,
    lowerThreshold,
    family: familyNumber(family),
    tunnelType: tunnelTypes.indexOf(tunnel.type),
    tunnelPort: tunnel.port,
    tunnelFlags: tunnel.flags,
  };
}

/** `serviceFamily` counts for kernels before 3.18, which name no family: both are then the same. */
export function destinationFromWire(wire: DestinationReply | undefined, serviceFamily: Family): IpvsDestination {
  const family = wire?.family === undefined ? serviceFamily : familyFromWire(wire.family);
  return {
    family,
    address: addressText(wire?.address, family),
    port: need(wire?.port, "port"),
    forward: need(forwardMethods[need(wire?.forward, "forward") & 7], "known forward"),
    weight: need(wire?.weight, "weight"),
    upperThreshold: need(wire?.upperThreshold, "upper threshold"),
    lowerThreshold: need(wire?.lowerThreshold, "lower threshold"),
    tunnel: {
      type: need(tunnelTypes[wire?.tunnelType ?? 0], "known tunnel"),
      port: wire?.tunnelPort ?? 0,
      flags: wire?.tunnelFlags ?? 0,
    },
  };
}

export function daemonToWire(daemon: IpvsDaemon): WireDaemon {
  const { state, interface: name, syncId, maxLength, group, port, ttl } = daemon;
  const groupBytes = group === undefined ? undefined : parseInet(group);
  if (group !== undefined && !groupBytes) throw new CodecError(`"${group}" is no IP address`);
  return {
    state: state === "master" ? 1 : 2,
    interface: name,
    syncId,
    maxLength,
    ...(groupBytes?.length === 4 && { group: Buffer.from(groupBytes).readUInt32BE(0) }),
    ...(groupBytes?.length === 16 && { group6: groupBytes }),
    port,
    ttl,
  };
}

export function daemonFromWire(wire: WireDaemon | undefined): IpvsDaemon {
  const { maxLength, group, group6, port, ttl } = wire ?? {};
  const groupText = group6 ? formatInet(group6) : group === undefined ? undefined : formatInet(u32Bytes(group));
  return {
    state: need(wire?.state, "state") === 1 ? "master" : "backup",
    interface: need(wire?.interface, "interface"),
    syncId: need(wire?.syncId, "sync id"),
    ...(maxLength !== undefined && { maxLength }),
    ...(groupText !== undefined && { group: groupText }),
    ...(port !== undefined && { port }),
    ...(ttl !== undefined && { ttl }),
  };
}

function observedService(wire: ServiceReply | undefined): ObservedService {
  return { service: serviceFromWire(wire), stats: statsFromWire(wire?.stats64?.(), wire?.stats) };
}

function observedDestination(wire: DestinationReply | undefined, serviceFamily: Family): ObservedDestination {
  return {
    destination: destinationFromWire(wire, serviceFamily),
    connections: {
      active: wire?.activeConnections ?? 0,
      inactive: wire?.inactiveConnections ?? 0,
      persistent: wire?.persistentConnections ?? 0,
    },
    stats: statsFromWire(wire?.stats64?.(), wire?.stats),
  };
}

/** Kernels before 4.1 send STATS alone, whose totals wrap at 32 bits. */
function statsFromWire(wide: WireStats64 | undefined, narrow: (() => WireStats32) | undefined): IpvsStats {
  const stats = wide ?? narrow?.() ?? {};
  return {
    connections: BigInt(stats.connections ?? 0),
    inPackets: BigInt(stats.inPackets ?? 0),
    outPackets: BigInt(stats.outPackets ?? 0),
    inBytes: stats.inBytes ?? 0n,
    outBytes: stats.outBytes ?? 0n,
    connectionsPerSecond: Number(stats.connectionsPerSecond ?? 0),
    inPacketsPerSecond: Number(stats.inPacketsPerSecond ?? 0),
    outPacketsPerSecond: Number(stats.outPacketsPerSecond ?? 0),
    inBytesPerSecond: Number(stats.inBytesPerSecond ?? 0),
    outBytesPerSecond: Number(stats.outBytesPerSecond ?? 0),
  };
}

function addressOf(text: string, family: Family): string {
  if (familyOf(text) !== family) throw new CodecError(`"${text}" is no ${family} address`);
  return text;
}

function addressText(wire: Uint8Array | undefined, family: Family): string {
  const size = family === "inet" ? 4 : 16;
  if (!wire || wire.length < size) throw new CodecError(`an ${family} address has ${size} bytes, not ${wire?.length ?? 0}`);
  return formatInet(wire.subarray(0, size));
}

function familyFromWire(wire: number | undefined): Family {
  if (wire === AF_INET) return "inet";
  if (wire === AF_INET6) return "inet6";
  throw new CodecError(`address family ${wire} is neither IPv4 nor IPv6`);
}

function netmaskToWire(netmask: string, family: Family): number {
  if (family === "inet6") return Number(netmask);
  const bytes = parseInet(netmask);
  if (bytes?.length !== 4) throw new CodecError(`"${netmask}" is no IPv4 mask`);
  return Buffer.from(bytes).readUInt32LE(0); // the bytes stay in network order
}

function netmaskFromWire(wire: number, family: Family): string {
  return family === "inet6" ? String(wire) : formatInet(u32Bytes(wire).reverse());
}

const u32Bytes = (value: number): Uint8Array => Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);

function need<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new CodecError(`the kernel's answer has no ${what}`);
  return value;
}

const endpoint = ({ address, port }: { address: string; port: number }) =>
  address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;

const protocolNames: Record<number, string> = { 6: "tcp", 17: "udp", 132: "sctp" };

function describeService(id: IpvsServiceId): string {
  if (id.fwmark !== undefined) return `fwmark ${id.fwmark} (${id.family})`;
  return `${protocolNames[id.protocol] ?? `protocol ${id.protocol}`} ${endpoint(id)}`;
}
