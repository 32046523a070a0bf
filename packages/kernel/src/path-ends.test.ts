import { createServer } from "node:net";
import { expect, test } from "vitest";
import { listenerOf, listeningSockets, parseListening } from "./path-ends.ts";

const header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
const v4 = (address: string, state: string) =>
  `   0: ${address} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 17 1 0 100 0 0 10 0`;

test("reads who listens, and takes no connection for a listener", () => {
  const tcp = [header, v4("1500020A:0050", "0A"), v4("00000000:1F90", "0A"), v4("0100007F:01BB", "01")].join("\n");
  const tcp6 = [
    header,
    v4("00000000000000000000000000000000:01BB", "0A"),
    v4("0000000000000000FFFF00001600020A:0051", "0A"),
  ].join("\n");
  const sockets = parseListening([tcp, tcp6]);
  expect(listenerOf(sockets, "10.2.0.100", 80)).toBe("other");
  expect(listenerOf(sockets, "10.2.0.21", 80)).toBe("vip");
  expect(listenerOf(sockets, "10.2.0.100", 8080)).toBe("vip");
  expect(listenerOf(sockets, "10.2.0.100", 443)).toBe("vip");
  expect(listenerOf(sockets, "10.2.0.22", 81)).toBe("vip");
  expect(listenerOf(sockets, "10.2.0.100", 22)).toBe("none");
});

test("IPv6 listeners are told apart by address, and one for all of IPv4 is none for an IPv6 VIP", () => {
  const tcp = [header, v4("00000000:0050", "0A"), v4("00000000:0051", "0A")].join("\n");
  const tcp6 = [
    header,
    v4("B80D0120000002000000000022000000:0050", "0A"), // 2001:db8:2::22
    v4("00000000000000000000000000000000:0053", "0A"),
  ].join("\n");
  const sockets = parseListening([tcp, tcp6]);
  expect(listenerOf(sockets, "2001:db8:2::22", 80)).toBe("vip");
  expect(listenerOf(sockets, "2001:db8:2::100", 80)).toBe("other");
  expect(listenerOf(sockets, "2001:db8:2::100", 81)).toBe("other");
  expect(listenerOf(sockets, "2001:db8:2::100", 83)).toBe("vip");
  expect(listenerOf(sockets, "2001:db8:2::100", 84)).toBe("none");
});

test("a UDP socket that is connected to somebody takes no packets of others", () => {
  const udp = [header, v4("1500020A:0035", "07"), v4("00000000:14E9", "07"), v4("6400020A:0045", "01")].join("\n");
  const sockets = parseListening([udp], "udp");
  expect(listenerOf(sockets, "10.2.0.100", 53)).toBe("other");
  expect(listenerOf(sockets, "10.2.0.100", 5353)).toBe("vip");
  expect(listenerOf(sockets, "10.2.0.100", 69)).toBe("none");
  expect(parseListening([udp]).size).toBe(0);
});

test("sees a listener of this very machine come and go", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  expect(listenerOf(listeningSockets(), "127.0.0.1", port)).toBe("vip");
  expect(listenerOf(listeningSockets(), "127.0.0.2", port)).toBe("other");
  await new Promise((resolve) => server.close(resolve));
  expect(listenerOf(listeningSockets(), "127.0.0.1", port)).toBe("none");
});
