import { kindOfKey, type Resource, type ResourceKind } from "@trigon/model";
import { IpvsClient, isNetlinkError, RouteClient } from "@trigon/netlink";
import type { Action, ActionResult, Found, Kernel, KernelCounters } from "@trigon/reconciler";
import { type ActionOn, type Adapter, subject } from "./adapter.ts";
import { AddressAdapter } from "./address.ts";
import { eachConnection, readConnections } from "./connections.ts";
import { DuplicateSearch } from "./duplicates.ts";
import { type IsOurs, readFacts } from "./facts.ts";
import { failed } from "./failure.ts";
import { FilterRuleAdapter } from "./filter-rule.ts";
import { FouPortAdapter } from "./fou.ts";
import { IpvsAdapter } from "./ipvs.ts";
import { KeepalivedAdapter } from "./keepalived.ts";
import { LinkAdapter, LinkStateAdapter } from "./link.ts";
import { loadedAs, ModuleAdapter } from "./module.ts";
import { SyncDaemonAdapter } from "./sync-daemon.ts";
import { SysctlAdapter } from "./sysctl.ts";
import { watchKernel } from "./watch.ts";

export interface KernelOptions {
  /**
   * Whether Trigon made the thing of this resource key (`link NAME`, `address NAME ADDRESS/PREFIX`): facts leave it out.
   * By default the devices named `trg-…`.
   */
  isOurs?: IsOurs;
  /** Where the keepalived of our own has its files. */
  vrrpDirectory?: string;
}

/** The kernel of the network namespace that this process is in. Needs CAP_NET_ADMIN; CAP_NET_RAW to probe and CAP_SYS_MODULE to load modules. */
export function createKernel({
  isOurs = (key) => key.startsWith("link trg-"),
  vrrpDirectory = "/var/lib/trigon/vrrp",
}: KernelOptions = {}): Kernel {
  const route = RouteClient.open();
  const ipvsClient = createIpvsOpener();
  const filterRule = new FilterRuleAdapter();
  const ipvs = new IpvsAdapter(ipvsClient.open);
  const address = new AddressAdapter(route);
  const vrrp = new KeepalivedAdapter(vrrpDirectory);
  const isMadeByUs: IsOurs = (key) => isOurs(key) || (key.startsWith("address ") && vrrp.holds(key));
  const duplicates = new DuplicateSearch(route);
  const sysctl = new SysctlAdapter();
  const linkState = new LinkStateAdapter(route);
  const adapters: readonly Adapter<ResourceKind>[] = [
    new ModuleAdapter(),
    new LinkAdapter(route),
    linkState,
    new FouPortAdapter(),
    sysctl,
    filterRule,
    ipvs,
    new SyncDaemonAdapter(ipvsClient.open),
    address,
    vrrp,
  ] as never[];
  const adapterOf = new Map(adapters.flatMap((adapter) => adapter.kinds.map((kind) => [kind, adapter] as const)));

  const observe = async (keys: readonly string[]): Promise<Map<string, Resource>> => {
    const asked = new Map<Adapter<ResourceKind>, string[]>();
    let kind = "";
    let list: string[] | undefined;
    keys.forEach((key) => {
      // Keys of one kind mostly follow one another.
      if (kind === "" || !key.startsWith(kind)) {
        kind = `${kindOfKey(key)} `;
        const adapter = adapterOf.get(kindOfKey(key));
        list = adapter && (asked.get(adapter) ?? []);
        if (adapter && list) asked.set(adapter, list);
      }
      list?.push(key);
    });
    return keyed(await Promise.all([...asked].map(([adapter, list]) => adapter.observe(list))));
  };

  return {
    facts: async () => readFacts(route, isMadeByUs, (await filterRule.tools())?.backend ?? "none"),
    observe,

    async observeAll(also) {
      const all = await Promise.all(adapters.map((adapter) => adapter.observeAll()));
      const named = await observe(also);
      const found = keyed(all);
      for (const [key, resource] of named) found.set(key, resource);
      return found;
    },

    async found(actions) {
      const found = new Map<string, Found>();
      for (const resource of actions.map(subject)) {
        if (resource.kind === "sysctl") found.set(resource.key, sysctl.found(resource));
        if (resource.kind !== "linkState") continue;
        const up = await linkState.isUp(resource.name);
        found.set(resource.key, { value: up === undefined ? null : up ? "up" : "down" });
      }
      return found;
    },

    async apply(actions) {
      const results: ActionResult[] = [];
      for (const [adapter, run] of runsOf(actions, adapterOf)) {
        try {
          results.push(...(await adapter.apply(run)));
        } catch (error) {
          results.push(...run.map((action) => failed(error, `${action.op} ${subject(action).key}`)));
        }
      }
      return results;
    },

    async restore(resource, found) {
      if (resource.kind === "sysctl") return sysctl.restore(resource, found);
      if (resource.kind === "linkState") return linkState.restore(resource, found.value);
      return false;
    },

    probe: (interfaceName, probed) => address.probe(interfaceName, probed),
    otherHolders: (bound) => duplicates.search(bound),
    announce: (interfaceName, announced) => address.announce(interfaceName, announced),
    tidy: () => filterRule.dropEmptyChains(),
    watch(onEvent) {
      const isNft = filterRule.tools().then((tools) => tools?.backend === "nft");
      return watchKernel(route, isNft, onEvent);
    },

    async counters(services): Promise<KernelCounters> {
      if (services) return { ...(await ipvs.countersOf(services)), rules: new Map() };
      const [table, rules] = await Promise.all([ipvs.counters(), filterRule.counters()]);
      return { ...table, rules };
    },

    connections: (destinations) => readConnections(destinations),
    eachConnection: (visit) => eachConnection(visit),

    async close() {
      await address.settle();
      duplicates.close();
      route.close();
      await ipvsClient.close();
    },
  };
}

function keyed(lists: readonly (readonly Resource[])[]): Map<string, Resource> {
  const byKey = new Map<string, Resource>();
  for (const list of lists) for (const resource of list) byKey.set(resource.key, resource);
  return byKey;
}

/** Neighbours of one adapter go to it together, in their order. */
function runsOf(actions: readonly Action[], adapterOf: ReadonlyMap<ResourceKind, Adapter<ResourceKind>>) {
  const runs: [Adapter<ResourceKind>, ActionOn<ResourceKind>[]][] = [];
  actions.forEach((action) => {
    const adapter = adapterOf.get(subject(action).kind)!;
    const last = runs.at(-1);
    if (last?.[0] === adapter) last[1].push(action);
    else runs.push([adapter, [action]]);
  });
  return runs;
}

/**
 * One client of the IPVS family, opened when ip_vs is there; looking for the family would load the module on a machine that has no use for it.
 * A module that went and came again has another family number: then the client is a new one.
 */
export function createIpvsOpener() {
  let client: Promise<IpvsClient | undefined> | undefined;
  let opened: number | undefined;
  const close = async () => void (await client?.catch(() => undefined))?.close();
  const open = async (): Promise<IpvsClient | undefined> => {
    const loaded = loadedAs("ip_vs");
    if (client && loaded === opened) return client;
    const stale = client;
    client = undefined;
    opened = loaded;
    if (stale) void stale.then((old) => old?.close()).catch(() => undefined);
    if (loaded === undefined) return undefined;
    const opening = IpvsClient.open().catch((error) => {
      if (client === opening) client = undefined;
      if (isNetlinkError(error, "ENOENT")) return undefined;
      throw error;
    });
    client = opening;
    return opening;
  };
  return { open, close };
}
