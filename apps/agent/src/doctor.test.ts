import type { Machine } from "@trigon/model";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Doctor, type DoctorSubject } from "./doctor.ts";
import { silentLog } from "./log.ts";

const machine: Machine = {
  modules: { ip_vs: "loaded", ip_vs_rr: "loaded" },
  tools: {},
  capabilities: ["NET_ADMIN", "NET_RAW"],
  sysctls: {},
  firewall: "",
  nftables: [],
  offloads: {},
  programs: ["chronyd"],
};
const eth0 = { name: "eth0", mac: null, mtu: 1500, up: true, addresses: [{ address: "192.0.2.2", prefix: 24 }] };
const subject: DoctorSubject = {
  fragments: [
    {
      ...{ id: "ds:vs_1", hash: "h", generation: 1, kind: "director.service", serviceId: "vs_1", name: "web" },
      ...{ vip: "192.0.2.10", protocol: "tcp", port: 80, scheduler: "rr", schedulerFlags: [], persistence: null },
      ...{ onePacket: false, encapsulation: "ipip", snatSource: "vip", notrack: false, destinations: [] },
    },
  ],
  facts: {
    ...{
      hostname: "lb",
      machineId: "m",
      bootId: "b",
      kernel: "6",
      architecture: "x64",
      routes: [],
      resolvers: [],
      iptables: "nft",
    },
    interfaces: [eth0],
  },
  foreign: [{ key: "ipvsService tcp 192.0.2.9 1", observed: "-A -t 192.0.2.9:1 -s rr" }],
};

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("asks for what the plan needs, looks again by itself, and speaks up only when something is new", async () => {
  const asked: unknown[] = [];
  let programs = machine.programs;
  const onChange = vi.fn();
  const doctor = new Doctor({
    subject: () => subject,
    read: async (questions) => {
      asked.push(questions);
      return { ...machine, programs };
    },
    onChange,
    log: silentLog,
  });
  doctor.start();
  expect(doctor.latest).toBeNull();
  await vi.advanceTimersByTimeAsync(65_000);
  const first = doctor.latest!;
  expect(asked).toEqual([
    {
      modules: ["ip_vs", "ip_vs_rr"],
      sysctls: ["net/ipv4/ip_forward", "net/ipv4/conf/all/rp_filter", "net/ipv4/conf/eth0/rp_filter"],
      offloads: ["eth0"],
      iptables: "nft",
    },
  ]);
  expect(first.findings.find(({ check }) => check === "foreignService")?.subject).toBe("-A -t 192.0.2.9:1 -s rr");
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked).toHaveLength(2);
  expect([doctor.latest, onChange.mock.calls.length]).toEqual([first, 1]);
  expect(doctor.latest).toBe(first);
  programs = ["chronyd", "keepalived"];
  await doctor.look();
  expect(doctor.latest!.findings.find(({ subject: name }) => name === "keepalived")?.state).toBe("warn");
  expect(onChange).toHaveBeenCalledTimes(2);
  doctor.close();
  await vi.advanceTimersByTimeAsync(300_000);
  expect(asked).toHaveLength(3);
});
