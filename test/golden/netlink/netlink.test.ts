import {
  daemonFromWire,
  daemonToWire,
  encodeCommand,
  type IpvsDestination,
  type IpvsService,
  type IpvsServiceId,
  ipvsCommand,
  plainTunnel,
  serviceFlag,
} from "@trigon/netlink";
import {
  destinationFromWire,
  destinationIdToWire,
  destinationToWire,
  serviceFromWire,
  serviceIdToWire,
  serviceToWire,
} from "@trigon/netlink/ipvs";
import { commandReply, infoAttributes } from "@trigon/netlink/ipvs-wire";
import { addressFlag, encodeDeleteAddress, encodeNewAddress, scope } from "@trigon/netlink/rtnetlink/address";
import { CREATE, CREATE_OR_REPLACE } from "@trigon/netlink/rtnetlink/header";
import { encodeNewLink, type NewLink } from "@trigon/netlink/rtnetlink/link";
import { encodeDeleteRoute, encodeNewRoute, type NewRoute } from "@trigon/netlink/rtnetlink/route";
import { encodeDeleteRule, encodeNewRule, type NewRule } from "@trigon/netlink/rtnetlink/rule";
import { describe, expect, test } from "vitest";
import { recorded } from "./recording.ts";

const HEADER = 16;
const GENL = 4;
const ACK = 4;

/** `1.4=…`: attribute 4 inside attribute 1. Written here anew, so that the package's own reader is no oracle for its writer. */
function attributeSet(bytes: Buffer, isNest: (path: string, type: number) => boolean, path = ""): string[] {
  const found: string[] = [];
  for (let at = 0; at + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    const type = bytes.readUInt16LE(at + 2);
    const name = `${path}${type & 0x3fff}`;
    const payload = bytes.subarray(at + 4, at + length);
    if (isNest(name, type)) found.push(...attributeSet(payload, isNest, `${name}.`));
    else found.push(`${name}=${payload.toString("hex")}`);
    at += (length + 3) & ~3;
  }
  return found.sort();
}

const service: IpvsService = {
  family: "inet",
  protocol: 6,
  address: "10.9.0.1",
  port: 80,
  scheduler: "wrr",
  flags: 0,
  timeout: 0,
  netmask: "255.255.255.255",
};
const udp: IpvsService = { ...service, protocol: 17, port: 53, scheduler: "rr" };
const v6: IpvsService = {
  ...service,
  family: "inet6",
  address: "2001:db8::1",
  port: 443,
  scheduler: "wlc",
  flags: serviceFlag.persistent,
  timeout: 60,
  netmask: "64",
};
const plain = { flags: 0, timeout: 0 };
const fwmark: IpvsService = { family: "inet", fwmark: 7, scheduler: "sed", ...plain, netmask: "255.255.255.255" };
const fwmark6: IpvsService = { family: "inet6", fwmark: 8, scheduler: "rr", ...plain, netmask: "128" };
const sip: IpvsService = {
  ...udp,
  address: "10.9.0.3",
  port: 5060,
  flags: serviceFlag.persistent,
  timeout: 60,
  persistenceEngine: "sip",
};
const persistentUdp: IpvsService = { ...udp, flags: serviceFlag.persistent, timeout: 300, netmask: "255.255.255.0" };
const mh: IpvsService = { ...service, address: "10.9.0.2", scheduler: "mh", flags: serviceFlag.sched1 | serviceFlag.sched2 };
const onePacket: IpvsService = { ...udp, address: "10.9.0.2", flags: serviceFlag.onePacket };
const sctp: IpvsService = { ...service, protocol: 132, port: 9000, scheduler: "lc" };

const destination: IpvsDestination = {
  family: "inet",
  address: "10.9.1.1",
  port: 80,
  forward: "droute",
  weight: 3,
  upperThreshold: 0,
  lowerThreshold: 0,
  tunnel: plainTunnel,
};
const masq: IpvsDestination = {
  ...destination,
  address: "10.9.1.2",
  port: 8080,
  forward: "masq",
  weight: 1,
  upperThreshold: 100,
  lowerThreshold: 50,
};
const ipip: IpvsDestination = { ...destination, address: "10.9.1.3", forward: "tunnel", weight: 1 };
const gue: IpvsDestination = { ...ipip, address: "10.9.1.4", tunnel: { type: "gue", port: 6080, flags: 1 } };
const gre: IpvsDestination = { ...ipip, address: "10.9.1.5", weight: 0, tunnel: { type: "gre", port: 0, flags: 0 } };
const masq6: IpvsDestination = { ...destination, family: "inet6", address: "2001:db8::2", port: 443, forward: "masq", weight: 5 };
const v4OfV6: IpvsDestination = { ...ipip, address: "10.9.1.6", port: 443, weight: 5 };

describe("ipvsadm's bytes are ours", () => {
  const services: [string, number, IpvsService][] = [
    ["new-service-tcp", ipvsCommand.newService, service],
    ["new-service-udp-persistent", ipvsCommand.newService, persistentUdp],
    ["new-service-sctp", ipvsCommand.newService, sctp],
    ["new-service-v6-persistent", ipvsCommand.newService, v6],
    ["new-service-fwmark", ipvsCommand.newService, fwmark],
    ["new-service-fwmark-v6", ipvsCommand.newService, fwmark6],
    ["new-service-mh-fallback-port", ipvsCommand.newService, mh],
    ["new-service-one-packet", ipvsCommand.newService, onePacket],
    ["set-service", ipvsCommand.setService, { ...service, scheduler: "wlc" }],
  ];
  test.each(services)("%s, to the byte", (name, command, wanted) => {
    expect(ours(command, { service: serviceToWire(wanted) })).toBe(payloadOf(name));
  });

  test("new-service-sip, attribute for attribute: ipvsadm writes the engine earlier", () => {
    expect(set(ours(ipvsCommand.newService, { service: serviceToWire(sip) }))).toEqual(set(payloadOf("new-service-sip")));
  });

  const destinations: [string, number, IpvsServiceId, IpvsDestination][] = [
    ["new-destination-droute", ipvsCommand.newDestination, service, destination],
    ["new-destination-masq-thresholds", ipvsCommand.newDestination, service, masq],
    ["new-destination-ipip", ipvsCommand.newDestination, service, ipip],
    ["new-destination-gue", ipvsCommand.newDestination, service, gue],
    ["new-destination-gre", ipvsCommand.newDestination, service, gre],
    ["new-destination-v6", ipvsCommand.newDestination, v6, masq6],
    ["new-destination-of-fwmark", ipvsCommand.newDestination, fwmark, { ...destination, port: 0, weight: 1 }],
    ["set-destination", ipvsCommand.setDestination, service, { ...destination, weight: 9 }],
  ];
  test.each(destinations)("%s, attribute for attribute", (name, command, of, wanted) => {
    const mine = ours(command, { service: serviceIdToWire(of), destination: destinationToWire(wanted) });
    expect(mine.slice(0, 8)).toBe(payloadOf(name).slice(0, 8));
    expect(only("2.", set(mine))).toEqual(only("2.", set(payloadOf(name)))); // the order differs
    expect(set(payloadOf(name))).toEqual(expect.arrayContaining(set(mine))); // ipvsadm adds a service's settings, which the kernel ignores here
  });

  test("new-destination-v4-of-v6, but for the bytes after an IPv4 address, in which ipvsadm leaves what was there", () => {
    const clean = payloadOf("new-destination-v4-of-v6").replace(
      "0a090106000000000000000000000001",
      "0a090106000000000000000000000000",
    );
    const body = { service: serviceIdToWire(v6), destination: destinationToWire(v4OfV6) };
    expect(only("2.", set(ours(ipvsCommand.newDestination, body)))).toEqual(only("2.", set(clean)));
  });

  const identities: [string, number, Parameters<typeof encodeCommand>[2]][] = [
    ["zero-service", ipvsCommand.zero, { service: serviceIdToWire(service) }],
    ["del-service", ipvsCommand.delService, { service: serviceIdToWire(service) }],
    ["del-service-fwmark", ipvsCommand.delService, { service: serviceIdToWire(fwmark) }],
    [
      "del-destination",
      ipvsCommand.delDestination,
      { service: serviceIdToWire(service), destination: destinationIdToWire(destination) },
    ],
  ];
  test.each(identities)("%s: what names the thing is the same; ipvsadm sends its settings too", (name, command, body) => {
    const mine = ours(command, body);
    expect(mine.slice(0, 8)).toBe(payloadOf(name).slice(0, 8));
    expect(set(payloadOf(name))).toEqual(expect.arrayContaining(set(mine)));
  });

  const rest: [string, number, Parameters<typeof encodeCommand>[2]][] = [
    ["zero-all", ipvsCommand.zero, {}],
    ["flush", ipvsCommand.flush, {}],
    ["get-config", ipvsCommand.getConfig, {}],
    ["list-daemons", ipvsCommand.getDaemon, {}],
    ["set-config", ipvsCommand.setConfig, { timeoutTcp: 901, timeoutTcpFin: 121, timeoutUdp: 301 }],
    ["new-daemon-master", ipvsCommand.newDaemon, { daemon: daemonToWire({ state: "master", interface: "eth0", syncId: 5 }) }],
    [
      "new-daemon-group6",
      ipvsCommand.newDaemon,
      { daemon: daemonToWire({ state: "master", interface: "eth0", syncId: 7, group: "ff02::81" }) },
    ],
    ["del-daemon-master", ipvsCommand.delDaemon, { daemon: daemonToWire({ state: "master", interface: "", syncId: 0 }) }],
  ];
  test.each(rest)("%s, to the byte", (name, command, body) => {
    expect(ours(command, body)).toBe(payloadOf(name));
  });

  test("new-daemon-backup-group, attribute for attribute", () => {
    const daemon = {
      state: "backup",
      interface: "eth0",
      syncId: 6,
      maxLength: 1400,
      group: "239.0.0.5",
      port: 9000,
      ttl: 3,
    } as const;
    const mine = ours(ipvsCommand.newDaemon, { daemon: daemonToWire(daemon) });
    expect(set(mine)).toEqual(set(payloadOf("new-daemon-backup-group")));
  });

  const ours = (command: number, body: Parameters<typeof encodeCommand>[2]) =>
    encodeCommand(0, command, body).subarray(HEADER).toString("hex");
  const set = (payload: string) => attributeSet(Buffer.from(payload, "hex").subarray(GENL), (_, type) => (type & 0x8000) !== 0);
  const only = (prefix: string, attributes: string[]) => attributes.filter((attribute) => attribute.startsWith(prefix));
});

describe("the kernel's replies to ipvsadm, read by us", () => {
  const replies = (name: string) => recorded(name).received.map((hex) => Buffer.from(hex, "hex").subarray(HEADER));
  const list = replies("list")
    .filter(([command]) => command !== ipvsCommand.setInfo)
    .map((reply) => ({ command: reply[0], ...commandReply.decode(reply.subarray(GENL)) }));

  test("services are the ones that were created", () => {
    const services = list
      .filter(({ command }) => command === ipvsCommand.newService)
      .map((reply) => serviceFromWire(reply.service));
    const created = [{ ...service, scheduler: "wlc" }, persistentUdp, sctp, v6, fwmark, fwmark6, mh, onePacket];
    expect(services).toHaveLength(created.length);
    expect(services).toEqual(expect.arrayContaining(created));
  });

  test("destinations are the ones that were created, tunnels and families included", () => {
    const found = list
      .filter(({ command }) => command === ipvsCommand.newDestination)
      .map((reply) => destinationFromWire(reply.destination, "inet"));
    const created = [{ ...destination, weight: 9 }, masq, ipip, gue, gre, masq6, v4OfV6, { ...destination, port: 0 }];
    expect(found).toHaveLength(created.length);
    for (const one of created.slice(0, -1)) expect(found).toContainEqual(one);
  });

  test("timeouts, daemons and version", () => {
    const config = replies("get-config").find((reply) => reply[0] === ipvsCommand.setConfig)!;
    expect(commandReply.decode(config.subarray(GENL))).toEqual({ timeoutTcp: 901, timeoutTcpFin: 121, timeoutUdp: 301 });
    const daemons = replies("list-daemons").filter((reply) => reply[0] === ipvsCommand.newDaemon);
    expect(daemons.map((reply) => daemonFromWire(commandReply.decode(reply.subarray(GENL)).daemon))).toEqual([
      { state: "master", interface: "eth0", syncId: 5, maxLength: 1472, group: "224.0.0.81", port: 8848, ttl: 1 },
      { state: "backup", interface: "eth0", syncId: 6, maxLength: 1400, group: "239.0.0.5", port: 9000, ttl: 3 },
    ]);
    const info = replies("get-config").find((reply) => reply[0] === ipvsCommand.setInfo)!;
    expect(infoAttributes.decode(info.subarray(GENL))).toEqual({ version: 0x10201, connectionTableSize: 4096 });
  });
});

describe("iproute2's bytes are ours", () => {
  /** Attributes of iproute2 that say what their absence says too: zeros, and the protocol a tunnel has anyway. */
  const meaningless = (attribute: string) => /=0*$/.test(attribute);
  const isLinkNest = (path: string) => path === "18" || path === "18.2";
  const isRouteNest = (path: string) => path === "8";

  function compare(name: string, mine: Buffer, struct: number, isNest: (path: string) => boolean, also: string[] = []): void {
    const theirs = Buffer.from(recorded(name).sent.at(-1)!, "hex");
    expect(mine.readUInt16LE(4)).toBe(theirs.readUInt16LE(4));
    expect(mine.readUInt16LE(6) | ACK).toBe(theirs.readUInt16LE(6));
    expect(mine.subarray(HEADER, HEADER + struct).toString("hex")).toBe(theirs.subarray(HEADER, HEADER + struct).toString("hex"));
    const set = (bytes: Buffer) =>
      attributeSet(bytes.subarray(HEADER + struct), isNest)
        .filter((attribute) => !meaningless(attribute))
        .map((attribute) => (attribute.startsWith("18.1=") ? attribute.replace(/(00)+$/, "") : attribute)); // a kind's NUL is optional
    expect(set(mine)).toEqual([...set(theirs), ...also].sort());
  }

  const local = "10.2.0.11";
  const links: [string, NewLink][] = [
    ["link-ipip", { name: "trg-1", kind: "ipip", tunnel: { local, remote: "10.2.0.12" } }],
    ["link-gre", { name: "trg-2", kind: "gre", tunnel: { local, remote: "10.2.0.13", ttl: 64 } }],
    ["link-sit", { name: "trg-3", kind: "sit", tunnel: { local, remote: "10.2.0.14", pmtuDiscovery: false } }],
    [
      "link-ipip-gue",
      {
        name: "trg-4",
        kind: "ipip",
        tunnel: { local, remote: "10.2.0.15", encap: { type: "gue", sourcePort: 0, destinationPort: 6080, flags: 1 } },
      },
    ],
    ["link-dummy", { name: "trg-5", kind: "dummy" }],
  ];
  test.each(links)("%s", (name, link) => compare(name, encodeNewLink(link), 16, isLinkNest));

  const vip = { index: 1, address: "192.0.2.10", prefix: 32 };
  test("address-v4", () => compare("address-v4", encodeNewAddress({ ...vip, label: "lo:vip" }), 8, () => false));
  test("address-v4-delete", () => compare("address-v4-delete", encodeDeleteAddress(vip), 8, () => false));
  test("address-v6-nodad", () => {
    const v6Vip = { index: 1, address: "2001:db8:9::10", prefix: 128, flags: addressFlag.nodad, scope: scope.global };
    compare("address-v6-nodad", encodeNewAddress(v6Vip), 8, () => false, ["8=02000000"]); // the flags in their wider place too
  });

  const routes: [string, NewRoute, number, string[]][] = [
    [
      "route-table",
      { destination: "10.88.0.0/16", gateway: "10.2.0.1", table: 1000, metric: 7, advmss: 1400, protocol: 3 },
      CREATE,
      [],
    ],
    // ours names the table in an attribute as well
    ["route-replace-default", { destination: "0.0.0.0/0", gateway: "10.2.0.1", protocol: 3 }, CREATE_OR_REPLACE, ["15=fe000000"]],
  ];
  test.each(routes)("%s", (name, route, flags, also) => compare(name, encodeNewRoute(route, flags), 12, isRouteNest, also));
  test("route-delete", () =>
    compare("route-delete", encodeDeleteRoute({ destination: "10.88.0.0/16", table: 1000 }), 12, isRouteNest));

  const rule: NewRule = { family: "inet", from: "10.2.0.21", ipProtocol: 6, sourcePorts: [80, 80], table: 100, priority: 500 };
  test("rule", () => compare("rule", encodeNewRule(rule, CREATE), 12, () => false, ["15=64000000"]));
  test("rule-delete", () => compare("rule-delete", encodeDeleteRule(rule), 12, () => false, ["15=64000000"]));
  test("rule-v6-fwmark", () => {
    const marked: NewRule = { family: "inet6", fwmark: 7, fwmask: 0xff, table: 1000, priority: 501 };
    compare("rule-v6-fwmark", encodeNewRule(marked, CREATE), 12, () => false);
  });
});

const payloadOf = (name: string) =>
  recorded(name)
    .sent.at(-1)!
    .slice(HEADER * 2);
