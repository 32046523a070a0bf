import { expect, test } from "vitest";
import { replyRate, replyTotal } from "./counters.ts";

const flow = {
  totals: { connections: 1, inPackets: 1, outPackets: 0, inBytes: 10, outBytes: 70 },
  rates: { connectionsPerSecond: 1, inBytesPerSecond: 1, outBytesPerSecond: 7 },
  replyBytes: 900,
  replyBytesPerSecond: 90,
};

test("in DR and Tunnel replies are what the real servers counted, never the director's zero", () => {
  expect([replyRate("dr", flow), replyTotal("tun", flow)]).toEqual([90, 900]);
  expect(replyRate("dr", { ...flow, replyBytesPerSecond: null })).toBeNull();
});

test("in NAT and full NAT replies pass the director, which counts them", () => {
  expect([replyRate("nat", flow), replyTotal("fullnat", flow)]).toEqual([7, 70]);
});
