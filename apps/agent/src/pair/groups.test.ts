import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { vrrpFiles } from "@trigon/kernel";
import type { DirectorGroupFragment, Facts, Fragment, FragmentState, GroupReport, Resource } from "@trigon/model";
import { Desired } from "@trigon/reconciler";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Groups } from "./groups.ts";

const log = { info: () => {}, warn: () => {}, error: () => {} };
const group: DirectorGroupFragment = {
  ...{ id: "dg:g", hash: "h", generation: 1, kind: "director.group", groupId: "g", name: "edge", virtualRouterId: 51 },
  ...{
    priority: 200,
    preempt: false,
    advertMs: 100,
    interface: null,
    peers: "unicast",
    addresses: ["10.2.0.11"],
    preferred: null,
  },
  others: [{ nodeId: "n2", name: "dir2", priority: 190, addresses: ["10.2.0.12"] }],
  vips: ["192.0.2.1"],
};

let directory: string;
let keepalived: ReturnType<typeof spawn>;
let groups: Groups;
let fragments: Map<string, Fragment>;
let looked: string[];
let seen: Map<string, Resource>;
let states: Map<string, FragmentState>;
let running: Map<string, Resource>;
const daemon = { kind: "syncDaemon", key: "syncDaemon backup" } as Resource;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "trigon-groups-"));
  const files = vrrpFiles(directory);
  mkdirSync(files.trackDirectory);
  execFileSync("mkfifo", [files.notify]);
  // Something that looks like our keepalived to whoever asks.
  keepalived = spawn("sh", ["-c", "sleep 60; :", files.configuration], { stdio: "ignore" });
  writeFileSync(files.pid, `${keepalived.pid}\n`);
  fragments = new Map<string, Fragment>([[group.id, group]]);
  states = new Map();
  looked = [];
  seen = new Map([["vrrp g", { kind: "vrrp", key: "vrrp g" } as Resource]]);
  const loop = {
    ...{ fragments, states, desired: new Desired(), seen },
    reached: { fleetId: "f", epoch: 1, generation: 1, nodeId: "n1" },
    lookAgain: (keys: Iterable<string>) => void looked.push(...keys),
    groupEvent: () => {},
  };
  running = new Map([[daemon.key, daemon]]);
  const kernel = {
    observe: async (keys: Iterable<string>) => new Map([...running].filter(([key]) => [...keys].includes(key))),
    otherHolders: async () => new Map(),
    facts: async () => ({ bootId: "b" }) as Facts,
  };
  groups = new Groups(
    { loop, kernel, health: { report: () => [] }, directory, onChange: () => {}, log },
    { watchMs: 10, beatMs: 20, askedMs: 200, rivalsMs: 1_000, catchUpMs: 300 },
  );
  groups.start();
});
afterEach(() => {
  groups.close();
  keepalived.kill("SIGKILL");
  rmSync(directory, { recursive: true, force: true });
});

const value = () => Number(readFileSync(`${directory}/track/g`, "utf8"));
const says = (line: string) => appendFileSync(vrrpFiles(directory).notify, `${line}\n`);
const now = (): GroupReport | undefined => groups.latest?.[0];

test("a role that keepalived says is told, kept and rewarded", async () => {
  await vi.waitFor(() => expect(now()).toMatchObject({ role: "backup", isReady: true }));
  expect(value()).toBe(0);
  says('INSTANCE "g" MASTER 100');
  await vi.waitFor(() => expect(value()).toBe(50));
  await vi.waitFor(() => expect(now()?.transitions.map(({ role }) => role)).toEqual(["backup", "master"]));
  says('INSTANCE "g" FAULT 100');
  await vi.waitFor(() => expect(value()).toBe(0));
  expect(existsSync(`${directory}/heartbeat`)).toBe(true);
});

test("a wish is carried out once, and held until the former holder knows", async () => {
  await vi.waitFor(() => expect(value()).toBe(0));
  fragments.set(group.id, { ...group, preferred: { nodeId: "n1", generation: 7 } });
  await vi.waitFor(() => expect(value()).toBe(100));
  says('INSTANCE "g" MASTER 200');
  await vi.waitFor(() => expect(now()).toMatchObject({ role: "master", preferredGeneration: 7 }));
  expect(value()).toBe(100);
  await vi.waitFor(() => expect(value()).toBe(50));
  says('INSTANCE "g" BACKUP 100');
  await vi.waitFor(() => expect(value()).toBe(0));
});

test("a keepalived that is gone is looked after, and a service that is not as planned costs the VIPs", async () => {
  const service = { id: "ds:1", hash: "a", kind: "director.service", vip: "192.0.2.1", protocol: "tcp", port: 80 } as Fragment;
  fragments.set(service.id, service);
  await vi.waitFor(() => expect(value()).toBe(-90));
  states.set(service.id, { id: service.id, hash: "a", state: "applied", reason: null, message: null });
  await vi.waitFor(() => expect(value()).toBe(0));
  says('INSTANCE "g" MASTER 100');
  await vi.waitFor(() => expect(value()).toBe(50));
  keepalived.kill("SIGKILL");
  // The peer takes over meanwhile: the keepalived that comes next must not want the VIPs back.
  await vi.waitFor(() => expect(value()).toBe(0));
  await vi.waitFor(() => expect(looked).toContain("vrrp g"));
  // The loop has seen that it is gone, and tries by itself.
  seen.clear();
  looked = [];
  await vi.waitFor(() => expect(now()?.findings).toMatchObject([{ code: "member.vrrpDown" }]));
  expect(looked).toEqual([]);
});

test("a standby whose kernel has just begun to take in connections waits, a holder and an agent that comes back do not", async () => {
  await vi.waitFor(() => expect(now()).toMatchObject({ isReady: true }));
  running.clear();
  await vi.waitFor(() => expect(now()).toMatchObject({ isReady: false, findings: [{ code: "member.catchingUp" }] }));
  expect(value()).toBe(-90);
  const since = performance.now();
  running.set(daemon.key, daemon);
  await vi.waitFor(() => expect(now()).toMatchObject({ isReady: true, findings: [] }), { interval: 5 });
  expect(performance.now() - since).toBeGreaterThan(250);
  expect(JSON.parse(readFileSync(`${directory}/intake.json`, "utf8"))).toMatchObject({ bootId: "b" });
  says('INSTANCE "g" MASTER 100');
  await vi.waitFor(() => expect(value()).toBe(50));
  running.clear();
  await vi.waitFor(() => expect(JSON.parse(readFileSync(`${directory}/intake.json`, "utf8"))).toBe(null));
  expect(value()).toBe(50);
});
