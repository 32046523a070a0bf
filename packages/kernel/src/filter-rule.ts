import type { FilterRuleResource } from "@trigon/model";
import type { ActionResult, KernelCounters } from "@trigon/reconciler";
import type { ActionOn, Adapter } from "./adapter.ts";
import { done, failed, KernelError } from "./failure.ts";
import { detectIptables, type Iptables, restore, save } from "./iptables.ts";
import { editChain, ownRules, parseChains, type SavedChain, tablesIn } from "./rule-text.ts";

type Action = ActionOn<"filterRule">;
type Family = FilterRuleResource["family"];
type Table = FilterRuleResource["table"];

const families: readonly Family[] = [4, 6];
const ruleOf = (action: Action): FilterRuleResource => (action.op === "delete" ? action.from : action.to);

/**
 * Rules in chains of our own, one chain for a table and hook, entered by one jump at the head of the built-in chain. A table is read by one
 * iptables-save and changed by one iptables-restore; chain and jump go with the last rule.
 */
export class FilterRuleAdapter implements Adapter<"filterRule"> {
  readonly kinds = ["filterRule"] as const;
  #tools: Promise<Iptables | undefined> | undefined;
  /** Tables known to hold rules of ours, as `4 mangle`; undefined before all were looked at once. */
  #tablesInUse: Set<string> | undefined;

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
    for (const place of new Set(keys.map((key) => key.split(" ").slice(1, 3).join(" ")))) {
      const { family, table } = parsePlace(place);
      const chains = parseChains(await save(tools, family, table), { family, table });
      found.push(...chains.flatMap(ownRules).filter(({ key }) => wanted.has(key)));
    }
    return found;
  }

  async observeAll(): Promise<FilterRuleResource[]> {
    return (await this.#everything()).flatMap(ownRules);
  }

  async apply(actions: readonly Action[]): Promise<ActionResult[]> {
    const results: ActionResult[] = actions.map(() => done);
    const groups = new Map<string, number[]>();
    for (const [index, action] of actions.entries()) {
      const { family, table } = ruleOf(action);
      const place = `${family} ${table}`;
      groups.set(place, [...(groups.get(place) ?? []), index]);
    }
    for (const [place, indexes] of groups) {
      const outcome = await this.#applyToTable(
        parsePlace(place),
        indexes.map((index) => actions[index]!),
      );
      for (const [at, index] of indexes.entries()) results[index] = outcome[at]!;
    }
    return results;
  }

  /** Packets and bytes of our rules; starts no program when there are none. */
  async counters(): Promise<KernelCounters["rules"]> {
    const chains = this.#tablesInUse === undefined ? await this.#everything() : await this.#inUse(this.#tablesInUse);
    const counted: KernelCounters["rules"] = new Map();
    for (const { resource, packets, bytes } of chains.flatMap(({ rules }) => rules))
      if (resource) counted.set(resource.key, { packets, bytes });
    return counted;
  }

  async #everything(): Promise<SavedChain[]> {
    const tools = await this.tools();
    const chains: SavedChain[] = [];
    const inUse = new Set<string>();
    for (const family of tools ? families : []) {
      const text = await save(tools!, family).catch((error) => {
        if (family === 6) return ""; // a host may have IPv6 disabled
        throw error;
      });
      for (const table of tablesIn(text) as Table[]) {
        const found = parseChains(text, { family, table });
        if (found.length > 0) inUse.add(`${family} ${table}`);
        chains.push(...found);
      }
    }
    this.#tablesInUse = inUse;
    return chains;
  }

  async #inUse(places: ReadonlySet<string>): Promise<SavedChain[]> {
    const tools = await this.tools();
    const chains: SavedChain[] = [];
    for (const place of tools ? places : []) {
      const { family, table } = parsePlace(place);
      chains.push(...parseChains(await save(tools!, family, table), { family, table }));
    }
    return chains;
  }

  async #applyToTable(place: { family: Family; table: Table }, actions: readonly Action[]): Promise<ActionResult[]> {
    const { family, table } = place;
    try {
      const tools = await this.tools();
      if (!tools) throw new KernelError("tool.missing", "Could not change packet filter rules: iptables is not installed");
      const chains = parseChains(await save(tools, family, table), place);
      const { results, next } = plan(chains, actions);
      const lines = [...next].flatMap(([hook, rules]) => editChain(chainOf(chains, hook), rules));
      if (lines.length > 0) await restore(tools, family, table, lines);
      this.#tablesInUse?.add(`${family} ${table}`);
      return results;
    } catch (error) {
      if (actions.length === 1) return [failed(error, `change ${table} rules`)];
      // The restore is one transaction: one wrong rule fails it whole, so each is tried alone.
      const results: ActionResult[] = [];
      for (const action of actions) results.push(...(await this.#applyToTable(place, [action])));
      return results;
    }
  }
}

const parsePlace = (place: string): { family: Family; table: Table } => {
  const [family, table] = place.split(" ");
  return { family: Number(family) as Family, table: table as Table };
};

const chainOf = (chains: readonly SavedChain[], hook: SavedChain["hook"]): SavedChain =>
  chains.find((chain) => chain.hook === hook) ?? { hook, rules: [], jumps: 0 };

/** What each action comes to, and the rules that each touched chain shall hold. */
function plan(chains: readonly SavedChain[], actions: readonly Action[]) {
  const next = new Map<SavedChain["hook"], FilterRuleResource[]>();
  const results = actions.map((action): ActionResult => {
    const rule = ruleOf(action);
    const rules = next.get(rule.hook) ?? ownRules(chainOf(chains, rule.hook));
    next.set(rule.hook, rules);
    const at = rules.findIndex(({ id }) => id === rule.id);
    if (action.op === "create" && at >= 0) return refused("EEXIST", `${rule.key} is already there`);
    if (action.op !== "create" && at < 0) return refused("ENOENT", `${rule.key} is not there`);
    if (action.op === "create") rules.push(rule);
    else if (action.op === "update") rules[at] = rule;
    else rules.splice(at, 1);
    return done;
  });
  return { results, next };
}

const refused = (code: string, message: string): ActionResult => ({ ok: false, failure: { code, message } });
