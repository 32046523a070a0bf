import type { IpvsConnection } from "@trigon/reconciler";
import { expect, test } from "vitest";
import { pinnedOf } from "./pinned.ts";

const connection = (change: Partial<IpvsConnection>): IpvsConnection => ({
  protocol: "tcp",
  client: "10.1.0.10",
  clientPort: 1000,
  destination: "ipvsDestination tcp 10.2.0.100 80 > 10.2.0.21 80",
  state: "ESTABLISHED",
  expiresInSeconds: 900,
  ...change,
});

test("a TCP connection whose timer only goes down is idle; one whose timer is set again is not", () => {
  const idle = (expiresInSeconds: number) => connection({ clientPort: 1, expiresInSeconds });
  const busy = () => connection({ clientPort: 2, expiresInSeconds: 899 });
  const first = pinnedOf([idle(900), busy()], new Map(), 0);
  expect(first.pinned).toEqual([]);
  const second = pinnedOf([idle(870), busy()], first.seen, 30_000);
  expect(second.pinned).toEqual([]);
  const third = pinnedOf([idle(835), busy()], second.seen, 65_000);
  expect(third.pinned).toEqual([{ protocol: "tcp", client: "10.1.0.10", clientPort: 1, idleSeconds: 65, expiresInSeconds: 835 }]);
  expect(pinnedOf([idle(900)], third.seen, 70_000).pinned).toEqual([]);
});

test("a UDP entry is pinned whatever it does; a TCP connection that closes is not", () => {
  const udp = connection({ protocol: "udp", state: "UDP", expiresInSeconds: 300 });
  const closing = connection({ state: "FIN_WAIT", expiresInSeconds: 100, clientPort: 7 });
  const first = pinnedOf([udp, closing], new Map(), 0);
  expect(first.pinned).toMatchObject([{ protocol: "udp", idleSeconds: 0 }]);
  expect(pinnedOf([{ ...closing, expiresInSeconds: 30 }], first.seen, 70_000).pinned).toEqual([]);
});
