import type { Facts, Protocol, Resource } from "@trigon/model";

/** One step from what is to what shall be. `update` carries both ends, because some kernel objects must be replaced to change. */
export type Action =
  | { op: "create"; to: Resource }
  | { op: "update"; from: Resource; to: Resource }
  | { op: "delete"; from: Resource };

/** What the kernel answered. `code` is an errno name (EEXIST, ESRCH, EPERM …) or one of ours (`vip.heldElsewhere`, `timeout`, `tool.missing`). */
export interface KernelFailure {
  code: string;
  /** What was tried and what the kernel said, in one sentence. */
  message: string;
}
export type ActionResult = { ok: true } | { ok: false; failure: KernelFailure };

/** What was there before we set it, to be put back on uninstall. Serialisable. `null`: there was nothing. */
export type Found = { value: string | null; tree?: Record<string, string> };

/** Something outside changed the kernel. `keys` when known exactly, else `scope` to look at again. */
export interface KernelEvent {
  /** `filter`: packet filter rules, said by an nft back end only. */
  scope: "link" | "address" | "route" | "rule" | "filter";
  keys: readonly string[];
  /** Of the scope `link`: whether packets pass it now, that is, it is up and has a carrier. */
  link?: { name: string; isRunning: boolean };
}

export interface BoundAddress {
  interface: string;
  address: string;
}

export interface AddressHolder {
  mac: string;
}

/**
 * The kernel of one node, as the reconciler sees it. Implemented by `packages/kernel` for real and by its fake for speed; one contract suite
 * holds both to the same behaviour. No call ever flushes anything, and none touches what it was not asked to.
 */
export interface Kernel {
  facts(): Promise<Facts>;

  /** The state of exactly these keys; absent ones are left out. One read per kind and service, never the whole table for a few keys. */
  observe(keys: readonly string[]): Promise<Map<string, Resource>>;

  /** Every resource of the kinds that Trigon manages, foreign ones too; modules and sysctls only if named in `also`. */
  observeAll(also: readonly string[]): Promise<Map<string, Resource>>;

  /** What stands where these actions will write, for the journal. Only settings (sysctl, linkState) have a value to put back. */
  found(actions: readonly Action[]): Promise<Map<string, Found>>;

  /**
   * Carries actions out in the given order, batching neighbours of one kind. Every action gets its own result; a failure stops nothing but
   * itself. Creating an address with purpose `vipOnDirector` probes first (`vip.heldElsewhere`) and announces afterwards.
   */
  apply(actions: readonly Action[]): Promise<ActionResult[]>;

  /** Puts a setting back to what was found, if it still is what we set. Answers whether it did. */
  restore(resource: Resource, found: Found): Promise<boolean>;

  /** Who, other than this node, answers for the address on that interface's link (ARP, ND). */
  probe(interfaceName: string, address: string): Promise<AddressHolder[]>;

  /** Who else answers for addresses that this node holds, by address: all are asked at once. Those that nobody else holds are left out. */
  otherHolders(bound: readonly BoundAddress[]): Promise<Map<string, string[]>>;

  /** Gratuitous ARP or unsolicited neighbour advertisement. */
  announce(interfaceName: string, address: string): Promise<void>;

  /** Takes out what Trigon made to hold its resources and that holds nothing: rules' chains that somebody flushed by hand. */
  tidy(): Promise<void>;

  /** Calls back on changes until closed. */
  watch(onEvent: (event: KernelEvent) => void): { close(): void };

  /** Counters, apart from state. Keyed by resource key. With `services` (keys) those of these services and their destinations only, no rule's. */
  counters(services?: readonly string[]): Promise<KernelCounters>;

  /** The connections to these destinations (keys), templates left out. It reads the whole table. */
  connections(destinations: readonly string[]): Promise<IpvsConnection[]>;

  /** Shows every entry of the connection table, templates too, until there are no more or one was answered with "enough". */
  eachConnection(visit: (entry: IpvsConnectionEntry) => "enough" | undefined): Promise<void>;

  close(): Promise<void>;
}

/** An entry of the kernel's connection table. */
export interface IpvsConnectionEntry {
  protocol: Protocol;
  client: string;
  /** Null: a template of persistence. */
  clientPort: number | null;
  /** The service's address and port; a template of one for all ports has port 0. */
  address: string;
  port: number;
  destination: { address: string; port: number };
  /** As the kernel spells it: ESTABLISHED, FIN_WAIT, UDP … */
  state: string;
  expiresInSeconds: number;
}

/** A connection through a destination that is known by its key. */
export interface IpvsConnection {
  protocol: Protocol;
  client: string;
  clientPort: number;
  /** The destination's key. */
  destination: string;
  state: string;
  expiresInSeconds: number;
}

export interface IpvsCounters {
  connections: number;
  inPackets: number;
  outPackets: number;
  inBytes: number;
  outBytes: number;
}

export interface KernelCounters {
  services: Map<string, IpvsCounters>;
  destinations: Map<string, IpvsCounters & { active: number; inactive: number; persistent: number; weight: number }>;
  /** Packets and bytes that passed our own filter rules, by resource key. */
  rules: Map<string, { packets: number; bytes: number }>;
}
