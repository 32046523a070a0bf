import {
  type AddressResource,
  type Facts,
  type FilterRuleResource,
  type FouPortResource,
  familyOf,
  type IpvsDestinationResource,
  type IpvsServiceResource,
  kindOfKey,
  type LinkResource,
  type LinkStateResource,
  type Resource,
  resourceKey,
  Scheduler,
  type SyncDaemonResource,
  type SysctlResource,
  unreachable,
  type VrrpResource,
} from "@trigon/model";
import type {
  Action,
  ActionResult,
  AddressHolder,
  Found,
  IpvsConnection,
  IpvsConnectionEntry,
  IpvsCounters,
  Kernel,
  KernelCounters,
  KernelEvent,
  KernelFailure,
} from "@trigon/reconciler";
import { subject } from "../adapter.ts";
import { done, failed, KernelError } from "../failure.ts";
import { afterForwarding, changedByForwarding, forwardingFamily } from "../forwarding.ts";

export interface FakeInterface {
  name: string;
  mac?: string | null;
  up?: boolean;
  mtu?: number;
  /** As `10.2.0.11/24`. */
  addresses?: readonly string[];
}

export interface FakeKernelOptions {
  hostname?: string;
  machineId?: string;
  bootId?: string;
  /** Beside `lo`; by default `eth0` with 10.2.0.11/24. */
  interfaces?: readonly FakeInterface[];
  /** IPv4 default gateway; by default 10.2.0.1 on the first interface. */
  gateway?: string | null;
  resolvers?: readonly string[];
  /** Modules that are there from the start. */
  modules?: readonly string[];
  sysctls?: Readonly<Record<string, string>>;
  /** As for the real kernel: what facts leave out. */
  isOurs?: (key: string) => boolean;
}

interface FakeLink {
  name: string;
  mac: string | null;
  mtu: number;
  up: boolean;
  /** Undefined for devices that are no tunnels of ours. */
  tunnel?: LinkResource;
}

const confDefaults: Readonly<Record<string, string>> = {
  accept_redirects: "1",
  arp_announce: "0",
  arp_ignore: "0",
  forwarding: "0",
  rp_filter: "2",
  send_redirects: "1",
};
/** Defaults of kernel 6.1. */
const vsDefaults: Readonly<Record<string, string>> = {
  backup_only: "0",
  conn_reuse_mode: "1",
  conntrack: "0",
  expire_nodest_conn: "0",
  expire_quiescent_template: "0",
  sync_threshold: "3 50",
  sync_refresh_period: "0",
  sync_retries: "0",
};
const targets = new Set(["ACCEPT", "DROP", "RETURN", "REJECT", "CT", "SNAT", "DNAT", "MASQUERADE", "TCPMSS", "MARK"]);
const none: IpvsCounters = { connections: 0, inPackets: 0, outPackets: 0, inBytes: 0, outBytes: 0 };

/**
 * A kernel in memory, with the real one's errors and side effects (the contract suite holds both to the same). Its state is open, so that a
 * test can play the other hand: change what stands, hold an address elsewhere, make a step fail.
 */
export class FakeKernel implements Kernel {
  readonly links = new Map<string, FakeLink>();
  readonly addresses = new Map<string, AddressResource>();
  readonly sysctls = new Map<string, string>();
  readonly modules = new Set<string>();
  readonly rules = new Map<string, FilterRuleResource>();
  readonly fouPorts = new Map<string, FouPortResource>();
  readonly syncDaemons = new Map<string, SyncDaemonResource>();
  readonly vrrp = new Map<string, VrrpResource>();
  readonly services = new Map<string, IpvsServiceResource>();
  readonly destinations = new Map<string, IpvsDestinationResource>();

  /** Who else answers for an address, by the address. */
  readonly holders = new Map<string, string[]>();
  /** Keys whose actions fail until taken out. */
  readonly failures = new Map<string, KernelFailure>();
  /** Every action handed to `apply`, in order. */
  readonly applied: Action[] = [];
  /** Every announcement, as `eth0 192.0.2.10`. */
  readonly announced: string[] = [];
  /** How often the kernel was read, and how many keys were asked for. */
  readonly reads = { observe: 0, keys: 0, observeAll: 0 };
  /** Counters to answer with, by resource key. */
  readonly serviceCounters = new Map<string, IpvsCounters>();
  readonly destinationCounters = new Map<string, IpvsCounters & { active: number; inactive: number; persistent: number }>();
  readonly ruleCounters = new Map<string, { packets: number; bytes: number }>();
  /** Runs before each action; a test may wait or throw in it, as a crash would. */
  beforeAction: ((action: Action) => void | Promise<void>) | undefined;
  bootId: string;

  readonly #options: FakeKernelOptions;
  readonly #watchers = new Set<(event: KernelEvent) => void>();

  constructor(options: FakeKernelOptions = {}) {
    this.#options = options;
    this.bootId = options.bootId ?? "00000000-0000-4000-8000-000000000001";
    const interfaces = options.interfaces ?? [{ name: "eth0", mac: "02:00:00:00:00:01", addresses: ["10.2.0.11/24"] }];
    for (const name of ["all", "default"]) this.#addConf(name);
    this.sysctls.set("net/ipv4/ip_forward", "0");
    for (const link of [
      { name: "lo", mac: "00:00:00:00:00:00", mtu: 65536, addresses: ["127.0.0.1/8", "::1/128"] },
      ...interfaces,
    ])
      this.addInterface(link);
    for (const name of options.modules ?? []) this.#loadModule(name);
    for (const [path, value] of Object.entries(options.sysctls ?? {})) this.sysctls.set(path, value);
  }

  /** Plugs an interface in, as somebody else would. */
  addInterface({ name, mac = "02:00:00:00:00:99", up = true, mtu = 1500, addresses = [] }: FakeInterface): void {
    this.links.set(name, { name, mac, mtu, up });
    this.#addConf(name);
    for (const text of addresses) {
      const [address = "", prefix = ""] = text.split("/");
      const key = resourceKey.address(name, address, Number(prefix));
      const purpose = name === "lo" ? "vipOnLoopback" : "vipOnDirector";
      this.addresses.set(key, { kind: "address", key, interface: name, address, prefix: Number(prefix), purpose });
    }
  }

  /** All that does not outlive a boot is gone: rules, services, tunnels and addresses of ours, written sysctls. */
  reboot(bootId: string): void {
    const fresh = new FakeKernel({ ...this.#options, bootId });
    this.bootId = bootId;
    for (const name of [
      "links",
      "addresses",
      "sysctls",
      "rules",
      "fouPorts",
      "syncDaemons",
      "vrrp",
      "services",
      "destinations",
    ] as const) {
      const mine = this[name] as Map<string, unknown>;
      mine.clear();
      for (const [key, value] of fresh[name] as Map<string, unknown>) mine.set(key, value);
    }
    this.modules.clear();
    for (const name of fresh.modules) this.modules.add(name);
  }

  /** Tells the watchers that somebody changed something. */
  emit(event: KernelEvent): void {
    for (const watcher of [...this.#watchers]) watcher(event);
  }

  async facts(): Promise<Facts> {
    const { hostname = "fake", machineId = "0123456789abcdef0123456789abcdef", gateway = "10.2.0.1" } = this.#options;
    const isOurs = this.#options.isOurs ?? ((key: string) => key.startsWith("link trg-"));
    const links = [...this.links.values()].filter(({ name }) => !isOurs(resourceKey.link(name)));
    const own = [...this.addresses.values()].filter(({ key }) => !isOurs(key));
    const leg = links.find(({ name }) => name !== "lo");
    const onLink = own.filter(({ interface: name, prefix }) => name !== "lo" && prefix < 32);
    return {
      hostname,
      machineId,
      bootId: this.bootId,
      kernel: "6.1.176",
      architecture: "x86_64",
      interfaces: links.map(({ name, mac, mtu, up }) => ({
        name,
        mac,
        mtu,
        up,
        addresses: own.filter((address) => address.interface === name).map(({ address, prefix }) => ({ address, prefix })),
      })),
      routes: [
        ...(gateway && leg
          ? [{ family: 4 as const, destination: null, prefix: 0, gateway, interface: leg.name, metric: 0 }]
          : []),
        ...onLink.map(({ address, prefix, interface: name }) => ({
          family: familyOf(address),
          destination: networkOf(address, prefix),
          prefix,
          gateway: null,
          interface: name,
          metric: 0,
        })),
      ],
      resolvers: [...(this.#options.resolvers ?? [])],
      iptables: "nft",
    };
  }

  async observe(keys: readonly string[]): Promise<Map<string, Resource>> {
    this.reads.observe += 1;
    this.reads.keys += keys.length;
    return new Map(
      keys.flatMap((key) => {
        const resource = this.#at(key);
        return resource ? [[key, resource] as const] : [];
      }),
    );
  }

  async observeAll(also: readonly string[]): Promise<Map<string, Resource>> {
    this.reads.observeAll += 1;
    const links = [...this.links.values()];
    const all: Resource[] = [
      ...links.flatMap(({ tunnel }) => tunnel ?? []),
      ...links.map(linkStateOf),
      ...this.rules.values(),
      ...this.services.values(),
      ...this.destinations.values(),
      ...this.addresses.values(),
      ...this.fouPorts.values(),
      ...this.syncDaemons.values(),
      ...this.vrrp.values(),
      ...also.flatMap((key) => this.#at(key) ?? []),
    ];
    return new Map(all.map((resource) => [resource.key, structuredClone(resource)]));
  }

  async found(actions: readonly Action[]): Promise<Map<string, Found>> {
    const found = new Map<string, Found>();
    for (const resource of actions.map(subject)) {
      if (resource.kind === "sysctl") found.set(resource.key, this.#foundSysctl(resource));
      if (resource.kind !== "linkState") continue;
      const link = this.links.get(resource.name);
      found.set(resource.key, { value: link ? (link.up ? "up" : "down") : null });
    }
    return found;
  }

  async apply(actions: readonly Action[]): Promise<ActionResult[]> {
    const results: ActionResult[] = [];
    for (const action of actions) {
      const before = this.beforeAction?.(action);
      if (before) await before;
      this.applied.push(action);
      results.push(this.#attempt(action));
    }
    return results;
  }

  async restore(resource: Resource, { value, tree = {} }: Found): Promise<boolean> {
    if (value === null) return false;
    if (resource.kind === "linkState") {
      const link = this.links.get(resource.name);
      if (!link || link.up !== resource.up) return false;
      link.up = value === "up";
      return true;
    }
    if (resource.kind !== "sysctl") return false;
    const ours = resource.value ?? String(resource.atLeast);
    if (this.sysctls.get(resource.path) !== ours) return false;
    const targetOf = ([path, before]: [string, string]) => {
      const stands = this.sysctls.get(path);
      return stands === undefined ? [] : [[path, stands === afterForwarding(path, ours) ? before : stands] as const];
    };
    const restored = Object.entries(tree).flatMap(targetOf);
    this.#write(resource.path, value);
    for (const [path, before] of restored) this.sysctls.set(path, before);
    return true;
  }

  async probe(interfaceName: string, address: string): Promise<AddressHolder[]> {
    if (!this.links.has(interfaceName))
      throw new KernelError("ENODEV", `Could not probe ${address}: there is no interface ${interfaceName}`);
    return (this.holders.get(address) ?? []).map((mac) => ({ mac }));
  }

  async otherHolders(bound: readonly { address: string }[]): Promise<Map<string, string[]>> {
    return new Map(bound.flatMap(({ address }) => (this.holders.has(address) ? [[address, this.holders.get(address)!]] : [])));
  }

  /** It has no chains: rules stand by themselves. */
  async tidy(): Promise<void> {}

  async announce(interfaceName: string, address: string): Promise<void> {
    this.announced.push(`${interfaceName} ${address}`);
  }

  watch(onEvent: (event: KernelEvent) => void): { close(): void } {
    this.#watchers.add(onEvent);
    return { close: () => void this.#watchers.delete(onEvent) };
  }

  async counters(only?: readonly string[]): Promise<KernelCounters> {
    const connections = { active: 0, inactive: 0, persistent: 0 };
    const services = [...this.services.keys()].filter((key) => only?.includes(key) ?? true);
    return {
      services: new Map(services.map((key) => [key, this.serviceCounters.get(key) ?? none])),
      destinations: new Map(
        [...this.destinations]
          .filter(([, { service }]) => services.includes(service))
          .map(([key, { weight }]) => [key, { ...none, ...connections, ...this.destinationCounters.get(key), weight }]),
      ),
      rules: new Map(
        (only ? [] : [...this.rules.keys()]).map((key) => [key, this.ruleCounters.get(key) ?? { packets: 0, bytes: 0 }]),
      ),
    };
  }

  /** What the connection table holds. */
  readonly connectionTable: IpvsConnection[] = [];

  async connections(destinations: readonly string[]): Promise<IpvsConnection[]> {
    return this.connectionTable.filter(({ destination }) => destinations.includes(destination));
  }

  /** What `eachConnection` shows. */
  readonly connectionEntries: IpvsConnectionEntry[] = [];

  async eachConnection(visit: (entry: IpvsConnectionEntry) => "enough" | undefined): Promise<void> {
    this.connectionEntries.some((entry) => visit(entry) === "enough");
  }

  async close(): Promise<void> {
    this.#watchers.clear();
  }

  #at(key: string): Resource | undefined {
    const name = key.slice(key.indexOf(" ") + 1);
    switch (kindOfKey(key)) {
      case "module":
        return this.modules.has(name) ? { kind: "module", key, name } : undefined;
      case "link":
        return this.links.get(name)?.tunnel;
      case "linkState": {
        const link = this.links.get(name);
        return link && linkStateOf(link);
      }
      case "sysctl": {
        const value = this.sysctls.get(name);
        return value === undefined ? undefined : { kind: "sysctl", key, path: name, value };
      }
      case "filterRule":
        return this.rules.get(key);
      case "ipvsService":
        return this.services.get(key);
      case "ipvsDestination":
        return this.destinations.get(key);
      case "address":
        return this.addresses.get(key);
      case "fouPort":
        return this.fouPorts.get(key);
      case "syncDaemon":
        return this.syncDaemons.get(key);
      case "vrrp":
        return this.vrrp.get(key);
      default:
        return undefined;
    }
  }

  #attempt(action: Action): ActionResult {
    const { key } = subject(action);
    const failure = this.failures.get(key);
    if (failure) return { ok: false, failure };
    try {
      this.#carryOut(action);
      return done;
    } catch (error) {
      return failed(error, `${action.op} ${key}`);
    }
  }

  #carryOut(action: Action): void {
    const resource = subject(action);
    switch (resource.kind) {
      case "module":
        if (action.op !== "delete") this.#loadModule(resource.name);
        return;
      case "sysctl":
        if (action.op !== "delete") this.#meet(resource);
        return;
      case "linkState":
        if (action.op !== "delete") this.#setLink(resource);
        return;
      case "link":
        if (action.op !== "create") this.#deleteLink(resource.name);
        if (action.op !== "delete") this.#createLink(resource);
        return;
      case "fouPort":
        if (!this.modules.has("fou"))
          throw new KernelError("ENOENT", `Could not ${action.op} ${resource.key}: module fou is not loaded`);
        if (action.op === "create" && this.fouPorts.has(resource.key))
          throw new KernelError("EADDRINUSE", `Could not create ${resource.key}`);
        if (action.op === "delete" && !this.fouPorts.has(resource.key))
          throw new KernelError("EINVAL", `Could not delete ${resource.key}`);
        put(this.fouPorts, action.op, resource);
        return;
      case "syncDaemon":
        if (action.op === "create" && this.syncDaemons.has(resource.key))
          throw new KernelError("EEXIST", `Could not create ${resource.key}`);
        if (action.op === "delete" && !this.syncDaemons.has(resource.key))
          throw new KernelError("ESRCH", `Could not delete ${resource.key}`);
        put(this.syncDaemons, action.op, resource);
        return;
      case "vrrp":
        put(this.vrrp, action.op, resource);
        return;
      case "filterRule":
        checkRule(action.op, resource, this.rules.has(resource.key));
        put(this.rules, action.op, resource);
        this.emit({ scope: "filter", keys: [] });
        return;
      case "ipvsService":
        this.#checkService(action.op, resource);
        if (action.op === "delete")
          for (const [key, { service }] of this.destinations) if (service === resource.key) this.destinations.delete(key);
        put(this.services, action.op, resource);
        return;
      case "ipvsDestination":
        this.#checkDestination(action.op, resource);
        put(this.destinations, action.op, resource);
        return;
      case "address":
        this.#checkAddress(action.op, resource);
        put(this.addresses, action.op, resource);
        if (action.op !== "delete" && resource.purpose === "vipOnDirector")
          this.announced.push(`${resource.interface} ${resource.address}`);
        this.emit({ scope: "address", keys: [resource.key] });
        return;
      default:
        unreachable(resource);
    }
  }

  #loadModule(name: string): void {
    if (!/^(ip_vs(_\w+)?|ipip|ip_gre|fou|nf_\w+|xt_\w+|ip6?table\w+|dummy)$/.test(name) || !isScheduler(name))
      throw new KernelError("ENOENT", `Could not load module ${name}: not found`);
    this.modules.add(name);
    if (!name.startsWith("ip_vs") || this.sysctls.has("net/ipv4/vs/conntrack")) return;
    this.modules.add("ip_vs");
    for (const [file, value] of Object.entries(vsDefaults)) this.sysctls.set(`net/ipv4/vs/${file}`, value);
  }

  #meet({ path, value, atLeast, ifPresent }: SysctlResource): void {
    const stands = this.sysctls.get(path);
    if (stands === undefined) {
      if (ifPresent) return;
      throw new KernelError("ENOENT", `Could not write ${value ?? atLeast} to ${path}: ENOENT`);
    }
    if (value === undefined && Number(stands) >= atLeast!) return;
    const next = value ?? String(atLeast);
    if (/^\d+$/.test(stands) && !/^-?\d+$/.test(next))
      throw new KernelError("EINVAL", `Could not write ${next} to ${path}: EINVAL`);
    this.#write(path, next);
  }

  #write(path: string, value: string): void {
    const isChanged = this.sysctls.get(path) !== value;
    this.sysctls.set(path, value);
    const family = forwardingFamily(path);
    if (family === undefined || !isChanged) return;
    for (const other of changedByForwarding(family, this.#confNames(family)))
      if (this.sysctls.has(other)) this.sysctls.set(other, afterForwarding(other, value));
  }

  #foundSysctl({ path }: SysctlResource): Found {
    const value = this.sysctls.get(path) ?? null;
    const family = forwardingFamily(path);
    if (family === undefined) return { value };
    const paths = changedByForwarding(family, this.#confNames(family)).filter((other) => other !== path);
    return {
      value,
      tree: Object.fromEntries(paths.flatMap((other) => (this.sysctls.has(other) ? [[other, this.sysctls.get(other)!]] : []))),
    };
  }

  #confNames(family: 4 | 6): string[] {
    const pattern = new RegExp(`^net/ipv${family}/conf/([^/]+)/forwarding$`);
    return [...this.sysctls.keys()].flatMap((path) => pattern.exec(path)?.[1] ?? []);
  }

  #addConf(name: string): void {
    for (const [file, value] of Object.entries(confDefaults)) this.sysctls.set(`net/ipv4/conf/${name}/${file}`, value);
    this.sysctls.set(`net/ipv6/conf/${name}/forwarding`, "0");
  }

  #setLink({ name, up, ifPresent }: LinkStateResource): void {
    const link = this.links.get(name);
    if (link) link.up = up;
    else if (!ifPresent) throw new KernelError("ENODEV", `Could not set link ${name}: ENODEV`);
    this.emit({ scope: "link", keys: [resourceKey.link(name), resourceKey.linkState(name)] });
  }

  #createLink(tunnel: LinkResource): void {
    if (this.links.has(tunnel.name))
      throw new KernelError("EEXIST", `Could not create ${tunnel.type} link ${tunnel.name}: EEXIST`);
    this.links.set(tunnel.name, { name: tunnel.name, mac: null, mtu: 1480, up: false, tunnel });
    this.#addConf(tunnel.name);
    this.emit({ scope: "link", keys: [tunnel.key, resourceKey.linkState(tunnel.name)] });
  }

  #deleteLink(name: string): void {
    if (!this.links.delete(name)) throw new KernelError("ENODEV", `Could not delete link ${name}: ENODEV`);
    for (const [key, address] of this.addresses) if (address.interface === name) this.addresses.delete(key);
    for (const path of [...this.sysctls.keys()])
      if (path.split("/")[3] === name && path.split("/")[2] === "conf") this.sysctls.delete(path);
    this.emit({ scope: "link", keys: [resourceKey.link(name), resourceKey.linkState(name)] });
  }

  #checkService(op: Action["op"], { key, scheduler }: IpvsServiceResource): void {
    if (!this.modules.has("ip_vs"))
      throw new KernelError("ENOENT", "Could not change the IPVS table: module ip_vs is not loaded");
    if (op === "create" && this.services.has(key)) throw new KernelError("EEXIST", `Could not create ${key}: EEXIST`);
    if (op !== "create" && !this.services.has(key)) throw new KernelError("ESRCH", `Could not ${op} ${key}: ESRCH`);
    if (op !== "delete" && !isScheduler(`ip_vs_${scheduler}`))
      throw new KernelError("ENOENT", `Could not ${op} ${key}: ENOENT (no scheduler ${scheduler})`);
  }

  #checkDestination(op: Action["op"], resource: IpvsDestinationResource): void {
    const { key, service, address, weight, upperThreshold, lowerThreshold, forward } = resource;
    const refusal = (code: string) => new KernelError(code, `Could not ${op} ${key}: ${code}`);
    const owner = this.services.get(service);
    if (!owner) throw refusal("ESRCH");
    if (op === "create" && this.destinations.has(key)) throw refusal("EEXIST");
    if (op !== "create" && !this.destinations.has(key)) throw refusal("ENOENT");
    if (op === "delete") return;
    if (weight < 0) throw refusal("EINVAL");
    if (lowerThreshold > upperThreshold) throw refusal("ERANGE");
    if (familyOf(address) !== familyOf(owner.address) && forward !== "tunnel") throw refusal("EINVAL");
  }

  #checkAddress(op: Action["op"], { key, interface: name, address, purpose }: AddressResource): void {
    const refusal = (code: string, reason = code) => new KernelError(code, `Could not ${op} ${key}: ${reason}`);
    if (op === "create" && purpose === "vipOnDirector") {
      const [holder] = this.links.has(name) ? (this.holders.get(address) ?? []) : [];
      if (holder) throw new KernelError("vip.heldElsewhere", `${address} is held by ${holder} on the link of ${name}`);
    }
    if (!this.links.has(name)) throw refusal("ENODEV", `there is no interface ${name}`);
    if (op === "create" && this.addresses.has(key)) throw refusal("EEXIST");
    if (op === "delete" && !this.addresses.has(key)) throw refusal("EADDRNOTAVAIL");
  }
}

const linkStateOf = ({ name, up }: FakeLink): LinkStateResource => ({
  kind: "linkState",
  key: resourceKey.linkState(name),
  name,
  up,
});

/** True for names that are no scheduler module's, and for those of a scheduler that there is. */
function isScheduler(module: string): boolean {
  const name = /^ip_vs_(\w+)$/.exec(module)?.[1];
  return name === undefined || Scheduler.safeParse(name).success;
}

function checkRule(op: Action["op"], { key, match }: FilterRuleResource, isThere: boolean): void {
  if (op === "create" && isThere) throw new KernelError("EEXIST", `${key} is already there`);
  if (op !== "create" && !isThere) throw new KernelError("ENOENT", `${key} is not there`);
  const target = match[match.indexOf("-j") + 1];
  if (op !== "delete" && match.includes("-j") && !targets.has(target ?? ""))
    throw new KernelError("ENOENT", `Could not change rules: Couldn't load target \`${target}'`);
}

function put<R extends Resource>(map: Map<string, R>, op: Action["op"], resource: R): void {
  if (op === "delete") map.delete(resource.key);
  else map.set(resource.key, resource);
}

/** The network address of an IPv4 prefix; of IPv6, the address itself will do for a fake. */
function networkOf(address: string, prefix: number): string {
  if (familyOf(address) === 6) return address;
  const number = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const network = Math.floor(number / 2 ** (32 - prefix)) * 2 ** (32 - prefix);
  return [24, 16, 8, 0].map((bits) => Math.floor(network / 2 ** bits) % 256).join(".");
}
