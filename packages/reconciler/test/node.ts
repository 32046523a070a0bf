import { type Resource, resourceKey } from "@trigon/model";
import { Desired } from "../src/desired.ts";
import { type JournalEntry, Ledger } from "../src/ledger.ts";
import { Outcomes } from "../src/outcomes.ts";
import { type PassResult, runPass } from "../src/pass.ts";
import { MemoryKernel } from "./memory-kernel.ts";

/** One node in memory: what it shall hold, what its kernel holds, and its journal. `restart` keeps only what a disk would. */
export class Node {
  desired = new Desired();
  outcomes = new Outcomes();
  readonly entries: JournalEntry[] = [];
  ledger: Ledger;
  readonly kernel: MemoryKernel;

  constructor(
    kernel = new MemoryKernel(),
    readonly bootId = "boot-1",
  ) {
    this.kernel = kernel;
    this.ledger = new Ledger(bootId);
  }

  restart(bootId = this.bootId): void {
    this.desired = new Desired();
    this.outcomes = new Outcomes();
    this.ledger = new Ledger(bootId, this.entries);
  }

  /** Sets fragments, then makes one pass over their keys. `null` takes a fragment away. */
  put(fragments: Record<string, readonly Resource[] | null>): Promise<PassResult> {
    const keys = new Set<string>();
    for (const [id, resources] of Object.entries(fragments)) {
      if (resources) this.desired.replace(id, `hash-of-${id}`, resources, keys);
      else this.desired.remove(id, keys);
    }
    return this.pass(keys, Object.keys(fragments));
  }

  pass(keys: ReadonlySet<string> | "all" = "all", fragments: readonly string[] = []): Promise<PassResult> {
    const { kernel, desired, outcomes, ledger } = this;
    const journal = { append: (entries: readonly JournalEntry[]) => void this.entries.push(...entries) };
    return runPass({ kernel, desired, outcomes, ledger, journal, keys, fragments });
  }
}

export const make = {
  module: (name: string): Resource => ({ kind: "module", key: resourceKey.module(name), name }),
  value: (path: string, value: string): Resource => ({ kind: "sysctl", key: resourceKey.sysctl(path), path, value }),
  atLeast: (path: string, atLeast: number): Resource => ({ kind: "sysctl", key: resourceKey.sysctl(path), path, atLeast }),
  link: (name: string, remote: string): Resource => ({
    kind: "link",
    key: resourceKey.link(name),
    name,
    type: "ipip",
    local: "192.0.2.21",
    remote,
  }),
  linkState: (name: string, up: boolean, ifPresent?: boolean): Resource => ({
    kind: "linkState",
    key: resourceKey.linkState(name),
    name,
    up,
    ...(ifPresent ? { ifPresent } : {}),
  }),
  rule: (id: string, ...match: string[]): Resource => ({
    kind: "filterRule",
    key: resourceKey.filterRule({ family: 4, table: "raw", hook: "PREROUTING", id }),
    family: 4,
    table: "raw",
    hook: "PREROUTING",
    id,
    order: 100,
    match,
  }),
  service: (address: string, port = 80, scheduler = "wlc"): Resource => ({
    kind: "ipvsService",
    key: resourceKey.ipvsService("tcp", address, port),
    protocol: "tcp",
    address,
    port,
    scheduler,
    flags: [],
    timeoutSeconds: 0,
    netmask: 32,
  }),
  destination: (vip: string, address: string, weight = 1, port = 80): Resource => ({
    kind: "ipvsDestination",
    key: resourceKey.ipvsDestination(resourceKey.ipvsService("tcp", vip, port), address, port),
    service: resourceKey.ipvsService("tcp", vip, port),
    address,
    port,
    forward: "droute",
    weight,
    upperThreshold: 0,
    lowerThreshold: 0,
    tunnelType: "ipip",
  }),
  vip: (name: string, address: string): Resource => ({
    kind: "address",
    key: resourceKey.address(name, address, 32),
    interface: name,
    address,
    prefix: 32,
    purpose: name === "lo" ? "vipOnLoopback" : name.startsWith("trg-") ? "tunnel" : "vipOnDirector",
  }),
};
