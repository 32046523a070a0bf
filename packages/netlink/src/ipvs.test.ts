import { expect, test } from "vitest";
import { CodecError } from "./codec.ts";
import { beginGeneric } from "./genl.ts";
import {
  describeOperation,
  destinationIdToWire,
  destinationToWire,
  encodeBatch,
  encodeCommand,
  IpvsClient,
  type IpvsDestination,
  type IpvsOperation,
  type IpvsService,
  plainTunnel,
  serviceFromWire,
  serviceIdToWire,
  serviceToWire,
} from "./ipvs.ts";
import { type CommandRequest, commandReply, ipvsCommand, serviceReply, serviceRequest } from "./ipvs-wire.ts";
import { endMessage, messageOffsets, parseMessages, writeMessage } from "./message.ts";
import { NetlinkSocket, type RawSocket } from "./transport.ts";
import { Writer } from "./writer.ts";

const service: IpvsService = {
  family: "inet",
  protocol: 6,
  address: "192.0.2.10",
  port: 80,
  scheduler: "wrr",
  flags: 0,
  timeout: 0,
  netmask: "255.255.255.255",
};
const destination: IpvsDestination = {
  family: "inet",
  address: "10.0.0.1",
  port: 80,
  forward: "droute",
  weight: 1,
  upperThreshold: 0,
  lowerThreshold: 0,
  tunnel: plainTunnel,
};

test("a service read back is the service that was written, but for the kernel's own flag", () => {
  const others: IpvsService[] = [
    service,
    { ...service, family: "inet6", address: "2001:db8::", netmask: "64", flags: 1, timeout: 300, persistenceEngine: "sip" },
    { family: "inet6", fwmark: 7, scheduler: "rr", flags: 4, timeout: 0, netmask: "128" },
  ];
  for (const other of others) {
    const wire = serviceToWire(other);
    wire.flags = { flags: other.flags | 2, mask: 0 };
    expect(serviceFromWire(serviceReply.decode(serviceRequest.encode(wire)))).toEqual(other);
  }
});

test("what cannot be said in the protocol is refused before anything is sent", () => {
  const wrong: IpvsOperation[] = [
    { op: "newService", service: { ...service, address: "2001:db8::1" } },
    { op: "newService", service: { ...service, scheduler: "a-scheduler-too-long" } },
    { op: "newService", service: { ...service, netmask: "24" } },
    { op: "newService", service: { ...service, port: 65536 } },
    { op: "newService", service: { ...service, address: "192.0.2.256" } },
    { op: "newDestination", service, destination: { ...destination, weight: -1 } },
  ];
  for (const operation of wrong) expect(() => encodeBatch([operation], 28)).toThrow(CodecError);
});

test("an operation's words name what it is about", () => {
  expect(describeOperation({ op: "newDestination", service, destination })).toBe(
    "newDestination 10.0.0.1:80 of tcp 192.0.2.10:80",
  );
  expect(describeOperation({ op: "delService", service: { family: "inet6", protocol: 17, address: "::1", port: 53 } })).toBe(
    "delService udp [::1]:53",
  );
  expect(describeOperation({ op: "delService", service: { family: "inet", fwmark: 7 } })).toBe("delService fwmark 7 (inet)");
});

test("a batch is, byte for byte, each operation encoded by itself", () => {
  const other: IpvsService = { family: "inet6", fwmark: 7, scheduler: "rr", flags: 0, timeout: 0, netmask: "128" };
  const destination6: IpvsDestination = { ...destination, family: "inet6", address: "2001:db8::2" };
  const alike: IpvsDestination = {
    family: "inet",
    address: "203.0.113.254",
    port: 0xfedc,
    forward: "masq",
    weight: 0x01020304,
    upperThreshold: 0x05060708,
    lowerThreshold: 0x090a0b0c,
    tunnel: { type: "gre", port: 0x1234, flags: 0x5678 },
  };
  const operations: IpvsOperation[] = [
    { op: "newService", service },
    { op: "newDestination", service, destination },
    { op: "newDestination", service, destination: alike },
    { op: "newDestination", service: { ...service }, destination },
    { op: "setDestination", service: { ...service }, destination: { ...destination, weight: 9 } },
    { op: "setDestination", service, destination: { ...alike, weight: 0xffff_ffff } },
    { op: "newDestination", service, destination: destination6 },
    { op: "newDestination", service, destination: alike },
    { op: "newDestination", service: { ...service, port: 81 }, destination },
    { op: "newDestination", service: other, destination: destination6 },
    { op: "delDestination", service: other, destination: destination6 },
    { op: "delService", service: other },
  ];
  const alone = operations.map((operation) => {
    const id = serviceIdToWire(operation.service);
    const encode = (body: CommandRequest) => encodeCommand(28, ipvsCommand[operation.op], body);
    switch (operation.op) {
      case "newService":
      case "setService":
        return encode({ service: serviceToWire(operation.service) });
      case "delService":
        return encode({ service: id });
      case "delDestination":
        return encode({ service: id, destination: destinationIdToWire(operation.destination) });
      default:
        return encode({ service: id, destination: destinationToWire(operation.destination) });
    }
  });
  expect(encodeBatch(operations, 28).toString("hex")).toBe(Buffer.concat(alone).toString("hex"));
});

test.each([
  ["address", { address: "10.0.0.256" }],
  ["port", { port: 65_536 }],
  ["weight", { weight: -1 }],
  ["upper threshold", { upperThreshold: 2 ** 32 }],
  ["lower threshold", { lowerThreshold: 1.5 }],
  ["tunnel port", { tunnel: { type: "gue", port: -1, flags: 0 } }],
  ["family", { family: "inet6" }],
] as const)("a wrong %s is noticed in the middle of a batch too", (_, wrong) => {
  const bad = { ...destination, ...wrong } as IpvsDestination;
  const operations: IpvsOperation[] = [destination, bad].map((one) => ({ op: "newDestination", service, destination: one }));
  expect(() => encodeBatch(operations, 28)).toThrow(CodecError);
});

test("11,000 operations are encoded into as many messages without a buffer each", () => {
  const operations: IpvsOperation[] = [];
  for (let i = 0; i < 1000; i++) {
    const one = { ...service, address: `10.20.${i >> 8}.${i & 255}` };
    operations.push({ op: "newService", service: one });
    for (let j = 0; j < 10; j++)
      operations.push({ op: "newDestination", service: one, destination: { ...destination, port: 80 + j } });
  }
  const encoded = encodeBatch(operations, 28);
  expect(parseMessages(encoded).length).toBe(11_000);
});

test("destinations are taken apart only when something other than their counters changed", async () => {
  let [weight, packets] = [1, 5];
  const answers: RawSocket = {
    send(request, _options, done) {
      done();
      const writer = new Writer(512);
      const start = beginGeneric(writer, 30, ipvsCommand.newDestination, 1);
      const destination = { address: Buffer.from([10, 0, 0, 1]), port: 80, forward: 3, weight, family: 2 };
      const counted = { activeConnections: packets, stats: () => ({ inPackets: packets }) };
      commandReply.write(writer, { destination: { ...destination, upperThreshold: 0, lowerThreshold: 0, ...counted } });
      endMessage(writer, start);
      writeMessage(writer, 3, 0, () => undefined); // NLMSG_DONE
      const bytes = Buffer.from(writer.written());
      for (const offset of messageOffsets(bytes)) request.copy(bytes, offset + 8, 8, 12);
      queueMicrotask(() => hear(bytes, { port: 0 }));
    },
    on(event: string, listener: unknown) {
      if (event === "message") hear = listener as typeof hear;
    },
    close: () => undefined,
    ref: () => undefined,
    unref: () => undefined,
  };
  let hear: (bytes: Buffer, from: { port: number }) => void = () => undefined;
  const client = IpvsClient.of(new NetlinkSocket(answers), 30);
  const service = { family: "inet", protocol: 6, address: "192.0.2.1", port: 80 } as const;
  const first = await client.readDestinations(service);
  expect(first.items).toMatchObject([{ address: "10.0.0.1", port: 80, weight: 1, forward: "droute" }]);
  packets = 6;
  expect(await client.readDestinations(service, first)).toBe(first);
  weight = 0;
  const second = await client.readDestinations(service, first);
  expect(second.items).toMatchObject([{ weight: 0 }]);
  expect(await client.readDestinations(service, second)).toBe(second);
  client.close();
});
