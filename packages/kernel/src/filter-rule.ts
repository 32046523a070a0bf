import type { FilterRuleResource } from "@trigon/model";
import type { ActionResult, KernelCounters } from "@trigon/reconciler";
import type { ActionOn, Adapter } from "./adapter.ts";
import { done, failed, KernelError } from "./failure.ts";
import { detectIptables, type Iptables, restore, save } from "./iptables.ts";
import { chainName, editChains, parseChains, type SavedChain, standingRules } from "./rule-text.ts";

type Action = ActionOn<"filterRule">;
type Family = FilterRuleResource["family"];
type Table = FilterRuleResource["table"];

const families: readonly Family[] = [4, 6];
const tables: readonly Table[] = ["raw", "mangle", "nat", "filter", "security"];
const ruleOf = (action: Action): FilterRuleResource => (action.op === "delete" ? action.from : action.to);

/**
 * Rules in chains of our own, one chain for a table and hook, entered by one jump at the head of the built-in chain. Tables are read by one
 * iptables-save for a family, and changed by one iptables-restore; chain and jump go with the last rule.
 */
export class FilterRuleAdapter implements Adapter<"filterRule"> {
  readonly kinds = ["filterRule"] as const;
  #tools: Promise<Iptables | undefined> | undefined;
  /** Tables known to hold rules of ours, as `4 mangle`; undefined before all were looked at once. */
  #tablesInUse: Set<string> | undefined;
  #toolsInUse: Iptables | undefined;
  /** What was last read of a table, and when, until we change it. */
  readonly #latest = new Map<string, { at: number; chains: SavedChain[] }>();

  /** The back end in use; looked for again while there is none. */
  async tools(): Promise<Iptables | undefined> {
    this.#tools ??= detectIptables();
    const tools = await this.#tools;
    if (!tools) this.#tools = undefined;
    return tools;
  }

  async observe(keys: readonly string[]): Promise<FilterRuleResource[]> {
    const tools = await this.tools();
    if (!tools) return [];
    const wanted = new Set(keys);
    const found: FilterRuleResource[] = [];
    this.#toolsInUse = tools;
    for (const [family, asked] of placesOf(keys.map(placeOfKey))) {
      const read = await readChains(tools, family, asked);
      const at = performance.now();
      for (const { table, chains } of read) this.#latest.set(`${family} ${table}`, { at, chains });
      found.push(...read.flatMap(({ chains }) => chains.flatMap(standingRules)));
    }
    return found.filter(({ key }) => wanted.has(key));
  }

  async observeAll(): Promise<FilterRuleResource[]> {
    return (await this.#everything()).flatMap(standingRules);
  }

  async apply(actions: readonly Action[]): Promise<ActionResult[]> {
    const results: ActionResult[] = actions.map(() => done);
    for (const [family, used] of placesOf(actions.map(ruleOf))) {
      const read = this.#justRead(family, used) ?? (await this.#read(family, used));
      const asked = used.map((table) => {
        const indexes = [...actions.keys()].filter((index) => isIn(ruleOf(actions[index]!), family, table));
        return { table, indexes, actions: indexes.map((index) => actions[index]!) };
      });
      const outcomes = await this.#change(family, read, asked);
      for (const [at, { indexes }] of asked.entries())
        for (const [place, index] of indexes.entries()) results[index] = outcomes[at]![place]!;
    }
    return results;
  }

  /** Packets and bytes of our rules that are there to count, which is in the tables mangle and security; starts no program when there are none. */
  async counters(): Promise<KernelCounters["rules"]> {
    if (this.#tablesInUse === undefined) await this.#everything();
    const chains = await this.#inUse([...(this.#tablesInUse ?? [])].filter((place) => / (?:mangle|security)$/.test(place)));
    const counted: KernelCounters["rules"] = new Map();
    for (const { resource, packets, bytes } of chains.flatMap(({ rules }) => rules))
      if (resource) counted.set(resource.key, { packets, bytes });
    return counted;
  }

  /** Chains of ours without a rule that packets meet, and the jumps to them. */
  async dropEmptyChains(): Promise<void> {
    const tools = await this.tools();
    if (!tools) return;
    for (const family of families) {
      const read = await readChains(tools, family, tables).catch((error) => (family === 6 ? [] : Promise.reject(error)));
      const parts = read.map(({ table, chains }) => {
        const empty = chains.filter(isIdle).map((chain) => [chainName(chain), []] as const);
        return { table, lines: editChains(chains, new Map(empty)) };
      });
      const changed = parts.filter(({ lines }) => lines.length > 0);
      if (changed.length > 0) await restore(tools, family, changed);
    }
    this.#latest.clear();
  }

  async #everything(): Promise<SavedChain[]> {
    const tools = await this.tools();
    if (!tools) return [];
    const found: SavedChain[] = [];
    const inUse = new Set<string>();
    for (const family of families) {
      // A host may have IPv6 disabled: no rules then, and no failure.
      const read = await readChains(tools, family, tables).catch((error) => (family === 6 ? [] : Promise.reject(error)));
      for (const { table, chains } of read) {
        if (chains.length > 0) inUse.add(`${family} ${table}`);
        found.push(...chains);
      }
    }
    this.#tablesInUse = inUse;
    return found;
  }

  async #inUse(places: readonly string[]): Promise<SavedChain[]> {
    const tools = await this.tools();
    const found: SavedChain[] = [];
    for (const [family, used] of tools ? placesOf(places.map(parsePlace)) : [])
      found.push(...(await readChains(tools!, family, used)).flatMap(({ chains }) => chains));
    return found;
  }

  /** The tables' chains, or why they cannot be read. */
  async #read(family: Family, asked: readonly Table[]): Promise<Reading> {
    try {
      const tools = await this.tools();
      if (!tools) throw new KernelError("tool.missing", "Could not change packet filter rules: iptables is not installed");
      return { tools, tables: await readChains(tools, family, asked) };
    } catch (error) {
      return { error };
    }
  }

  /** What was read of these tables moments ago, and not changed by us since; undefined when it must be read again. */
  #justRead(family: Family, asked: readonly Table[]): Reading | undefined {
    const tables: TableChains[] = [];
    for (const table of asked) {
      const reading = this.#latest.get(`${family} ${table}`);
      if (!reading || performance.now() - reading.at > freshMs) return undefined;
      tables.push({ table, chains: reading.chains });
    }
    return this.#toolsInUse && { tools: this.#toolsInUse, tables };
  }

  /** Changes tables of a family by one program; answers a list of results for each table. */
  async #change(family: Family, read: Reading, asked: readonly Asked[]): Promise<ActionResult[][]> {
    if ("error" in read) return asked.map(({ table, actions }) => actions.map(() => failed(read.error, tried(family, table))));
    const plans = asked.map(({ table, actions }) => {
      const chains = read.tables.find((candidate) => candidate.table === table)?.chains ?? [];
      const { results, next } = plan(chains, actions);
      return { table, actions, results, next, lines: editChains(chains, next) };
    });
    for (const { table } of asked) this.#latest.delete(`${family} ${table}`);
    try {
      const parts = plans.filter(({ lines }) => lines.length > 0);
      if (parts.length > 0) await restore(read.tools, family, parts);
      for (const { table } of asked) this.#tablesInUse?.add(`${family} ${table}`);
      return plans.map(({ results }) => results);
    } catch (error) {
      const [only] = asked;
      if (asked.length === 1 && only!.actions.length === 1) return [[failed(error, tried(family, only!.table))]];
      const outcomes: ActionResult[][] = [];
      for (const one of plans) {
        const now = await this.#read(family, [one.table]);
        // One transaction for a table: it stands as a whole, or not at all. Then one wrong rule may be why, so each is tried alone.
        const stands = "tables" in now && editChains(now.tables[0]!.chains, one.next).length === 0;
        outcomes.push(stands ? one.results : await this.#eachAlone(family, one));
      }
      return outcomes;
    }
  }

  async #eachAlone(family: Family, { table, actions }: Asked): Promise<ActionResult[]> {
    const results: ActionResult[] = [];
    for (const action of actions) {
      const [outcome] = await this.#change(family, await this.#read(family, [table]), [{ table, actions: [action] }]);
      results.push(...outcome!);
    }
    return results;
  }
}

interface Asked {
  table: Table;
  actions: readonly Action[];
}

interface TableChains {
  table: Table;
  chains: SavedChain[];
}

/** What was read so long ago may still be built upon: what others do meanwhile to chains of ours is seen by the look after the change. */
const freshMs = 5_000;

/** Nothing of ours is met in it, and nothing of a stranger's would be lost with it. */
const isIdle = (chain: SavedChain) => standingRules(chain).length === 0 && chain.rules.every(({ resource }) => resource);

const tried = (family: Family, table: Table) => `change ${table} rules of IPv${family}`;

type Reading = { tools: Iptables; tables: TableChains[] } | { error: unknown };

interface Place {
  family: Family;
  table: Table;
}

const parsePlace = (place: string): Place => {
  const [family, table] = place.split(" ");
  return { family: Number(family) as Family, table: table as Table };
};

const placeOfKey = (key: string): Place => parsePlace(key.slice("filterRule ".length));
const isIn = (place: Place, family: Family, table: Table): boolean => place.family === family && place.table === table;

/** The tables of each family. */
function placesOf(places: readonly Place[]): Map<Family, Table[]> {
  const found = new Map<Family, Table[]>();
  for (const { family, table } of places) {
    const list = found.get(family);
    if (!list) found.set(family, [table]);
    else if (!list.includes(table)) list.push(table);
  }
  return found;
}

/** Our chains in these tables, by one program whether one table is asked for or all. */
async function readChains(tools: Iptables, family: Family, asked: readonly Table[]): Promise<TableChains[]> {
  const text = await save(tools, family, asked.length === 1 ? asked[0] : undefined);
  return asked.map((table) => ({ table, chains: parseChains(text, { family, table }) }));
}

/** What each action comes to, and the rules that each touched chain shall hold, by the chain's name. */
function plan(chains: readonly SavedChain[], actions: readonly Action[]) {
  const next = new Map<string, Map<string, FilterRuleResource>>();
  const results = actions.map((action): ActionResult => {
    const rule = ruleOf(action);
    const name = chainName(rule);
    const saved = chains.find((chain) => chainName(chain) === name);
    const rules = next.get(name) ?? new Map((saved ? standingRules(saved) : []).map((own) => [own.id, own]));
    next.set(name, rules);
    if (action.op === "create" && rules.has(rule.id)) return refused("EEXIST", `${rule.key} is already there`);
    if (action.op !== "create" && !rules.has(rule.id)) return refused("ENOENT", `${rule.key} is not there`);
    if (action.op === "delete") rules.delete(rule.id);
    else rules.set(rule.id, rule);
    return done;
  });
  return { results, next: new Map([...next].map(([name, rules]) => [name, [...rules.values()]])) };
}

const refused = (code: string, message: string): ActionResult => ({ ok: false, failure: { code, message } });
