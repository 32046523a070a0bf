import { type FilterRuleResource, resourceKey } from "@trigon/model";

type Place = Pick<FilterRuleResource, "family" | "table">;

/** A rule of one of our chains, as iptables-save prints it. */
export interface SavedRule {
  /** Undefined for a stranger's rule in our chain; it keeps the chain alive. */
  resource: FilterRuleResource | undefined;
  packets: number;
  bytes: number;
}

export interface SavedChain {
  hook: FilterRuleResource["hook"];
  /** The part of its name after the hook's, when it is one below our chain of the hook. */
  chain?: string;
  rules: SavedRule[];
  /** Whether the table has it already. */
  isThere?: boolean;
  /** How often the built-in chain jumps to it. */
  jumps: number;
}

/** The name of our chain for a hook, or of one below it. */
export const chainName = ({ hook, chain }: Pick<FilterRuleResource, "hook" | "chain">): string =>
  `TRIGON-${hook}${chain === undefined ? "" : `-${chain}`}`;

const commentPrefix = "trigon:";

/** The comment that carries a rule's id and order (xt_comment holds 255 bytes). */
export const commentOf = ({ id, order }: Pick<FilterRuleResource, "id" | "order">): string => `${commentPrefix}${id}@${order}`;

/** Our chains of one table in the text of iptables-save, with or without counters. */
export function parseChains(text: string, { family, table }: Place): SavedChain[] {
  const chains = new Map<string, SavedChain>();
  const chainOf = (name: string): SavedChain | undefined => {
    const known = chains.get(name);
    if (known) return known;
    const [, hook, below] = /^TRIGON-(PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING)(?:-(\w+))?$/.exec(name) ?? [];
    if (!hook) return undefined;
    const chain: SavedChain = { hook: hook as SavedChain["hook"], ...(below ? { chain: below } : {}), rules: [], jumps: 0 };
    chains.set(name, chain);
    return chain;
  };
  for (const line of linesOf(text, table)) {
    if (line.startsWith(":")) {
      const declared = chainOf(line.slice(1, line.indexOf(" ")));
      if (declared) declared.isThere = true;
      continue;
    }
    const match = /^(?:\[(\d+):(\d+)\] )?-A (\S+) (.*)$/.exec(line);
    if (!match) continue;
    const [, packets = "0", bytes = "0", name = "", words = ""] = match;
    const chain = chainOf(name);
    if (!chain) {
      const target = /^-j (TRIGON-\S+)$/.exec(words)?.[1];
      if (target === `TRIGON-${name}`) chainOf(target)!.jumps += 1;
      continue;
    }
    const below = chain.chain === undefined ? {} : { chain: chain.chain };
    const resource = resourceOfRule(words, { family, table, hook: chain.hook, ...below });
    chain.rules.push({ resource, packets: Number(packets), bytes: Number(bytes) });
  }
  return [...chains.values()];
}

function linesOf(text: string, table: string): string[] {
  const lines = text.split("\n");
  const start = lines.indexOf(`*${table}`);
  if (start < 0) return [];
  const end = lines.indexOf("COMMIT", start);
  return lines.slice(start + 1, end < 0 ? undefined : end);
}

function resourceOfRule(
  words: string,
  place: Pick<FilterRuleResource, "family" | "table" | "hook" | "chain">,
): FilterRuleResource | undefined {
  const tokens = splitWords(words);
  const at = tokens.findIndex((token, index) => token === "--comment" && tokens[index + 1]?.startsWith(commentPrefix));
  if (at < 0) return undefined;
  const comment = tokens[at + 1]!.slice(commentPrefix.length);
  const cut = comment.lastIndexOf("@");
  const id = comment.slice(0, cut);
  const order = Number(comment.slice(cut + 1));
  if (cut <= 0 || !Number.isInteger(order)) return undefined;
  const match = canonical([...tokens.slice(0, at - 2), ...tokens.slice(at + 2)]); // -m comment --comment TEXT
  return { kind: "filterRule", key: resourceKey.filterRule({ ...place, id }), ...place, id, order, match };
}

/** Numbers of protocols that iptables-save names from /etc/protocols, which a node may lack or spell otherwise. */
const protocolNumbers: Readonly<Record<string, string>> = {
  ipencap: "4",
  ipip: "4",
  ipv4: "4",
  gre: "47",
  vrrp: "112",
  carp: "112",
};

/** Where iptables-save spells one thing in several ways (by version, by match) it is given the way of `-s` and `-d`: whole prefixes, lower case. */
function canonical(tokens: readonly string[]): string[] {
  return tokens.map((token, index) => {
    const option = tokens[index - 1];
    if (option === "-p") return protocolNumbers[token] ?? token;
    if (option === "--mac-source") return token.toLowerCase();
    if (option === "--vaddr" && !token.includes("/")) return `${token}/${token.includes(":") ? 128 : 32}`;
    return token;
  });
}

/** Words of a line of iptables-save: blanks divide, double quotes hold together, a backslash takes the next character as it is. */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let isQuoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if (character === "\\" && at + 1 < text.length) word = (word ?? "") + text[++at];
    else if (character === '"') {
      isQuoted = !isQuoted;
      word ??= "";
    } else if (character === " " && !isQuoted) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = (word ?? "") + character;
  }
  if (word !== undefined) words.push(word);
  return words;
}

/** The inverse of `splitWords`. */
export const joinWords = (words: readonly string[]): string =>
  words
    .map((word) => (/^[\w@%+=:,./!-]+$/.test(word) ? word : `"${word.replace(/["\\]/g, (character) => `\\${character}`)}"`))
    .join(" ");

/**
 * The rules of ours that packets meet in a chain: a chain of a hook that nothing jumps to any more (somebody flushed the built-in one) has
 * none, however many are written in it.
 */
export const standingRules = (chain: SavedChain): FilterRuleResource[] =>
  chain.chain !== undefined || chain.jumps > 0 ? ownRules(chain) : [];

/** The rules of a chain that are ours. */
export const ownRules = ({ rules }: SavedChain): FilterRuleResource[] => rules.flatMap(({ resource }) => resource ?? []);

/**
 * A change of chains of one table: the lines that iptables-restore --noflush takes, without the table's header and COMMIT. `next` says what
 * the chains named there shall hold; `chains` are all of ours in that table. Chains below are made before a rule leads to them, and go after
 * the last one that did.
 */
export function editChains(chains: readonly SavedChain[], next: ReadonlyMap<string, readonly FilterRuleResource[]>): string[] {
  const saved = new Map(chains.map((chain) => [chainName(chain), chain]));
  const ends = new Map([...saved].map(([name, chain]) => [name, ownRules(chain)] as const));
  for (const [name, rules] of next) ends.set(name, [...rules]);
  const needed = new Set<string>();
  for (const rules of ends.values()) {
    for (const { match } of rules) {
      const at = match.findIndex((word) => word === "-g" || word === "-j");
      const target = match[at + 1] ?? "";
      if (target.startsWith("TRIGON-")) needed.add(target);
    }
  }
  const isBelow = (name: string) => /^TRIGON-[A-Z]+-/.test(name);
  const named = (name: string): SavedChain => saved.get(name) ?? { ...placeOf(name), rules: [], jumps: 0 };
  const lines: string[] = [];
  for (const name of new Set([...next.keys(), ...needed])) {
    const isWanted = needed.has(name) || (next.get(name)?.length ?? 0) > 0;
    if (isBelow(name) && isWanted && !named(name).isThere) lines.push(`:${name} - [0:0]`);
  }
  for (const [name, rules] of next)
    lines.push(...(isBelow(name) ? editRules(named(name), rules) : editChain(named(name), rules)));
  for (const [name, chain] of saved) {
    const isEmpty = ends.get(name)?.length === 0 && chain.rules.every(({ resource }) => resource);
    if (isBelow(name) && isEmpty && !needed.has(name)) lines.push(`-X ${name}`);
  }
  return lines;
}

function placeOf(name: string): Pick<SavedChain, "hook" | "chain"> {
  const [, hook, chain] = name.split("-");
  return { hook: hook as SavedChain["hook"], ...(chain === undefined ? {} : { chain }) };
}

/** The same for the chain of a hook, which comes and goes with its rules and is entered by one jump. */
export function editChain(chain: SavedChain, next: readonly FilterRuleResource[]): string[] {
  const name = chainName(chain);
  const strangers = chain.rules.filter(({ resource }) => !resource);
  const isEmpty = strangers.length + next.length === 0;
  const exists = chain.isThere === true || chain.rules.length + chain.jumps > 0;
  const lines: string[] = [];
  if (!exists && !isEmpty) lines.push(`:${name} - [0:0]`); // a chain that exists would be emptied by this
  if (chain.jumps === 0 && !isEmpty) lines.push(`-I ${chain.hook} 1 -j ${name}`);
  lines.push(...editRules(chain, next));
  if (isEmpty && exists) {
    for (let count = 0; count < chain.jumps; count++) lines.push(`-D ${chain.hook} -j ${name}`);
    lines.push(`-X ${name}`);
  }
  return lines;
}

function editRules(chain: SavedChain, next: readonly FilterRuleResource[]): string[] {
  const name = chainName(chain);
  const wanted = new Map(next.map((rule) => [rule.id, rule]));
  const stays = ({ resource }: SavedRule) => {
    const same = resource && wanted.get(resource.id);
    return !resource || (same !== undefined && sameRule(same, resource));
  };
  const standing = chain.rules.filter(stays).map(({ resource }) => resource);
  const kept = new Set(standing.map((rule) => rule?.id));
  const lines: string[] = [];
  // By number, from the end: by its words, a rule with an ipvs match is not found again.
  for (const [index, rule] of [...chain.rules.entries()].reverse()) if (!stays(rule)) lines.push(`-D ${name} ${index + 1}`);
  for (const rule of next) {
    if (kept.has(rule.id)) continue;
    const found = standing.findIndex((other) => other && compareRules(rule, other) < 0);
    const at = found < 0 ? standing.length : found;
    lines.push(`-I ${name} ${at + 1} ${ruleWords(rule)}`);
    standing.splice(at, 0, rule);
  }
  return lines;
}

/** The rule's words with its comment, before the target so that iptables prints it in the same place. */
function ruleWords(rule: FilterRuleResource): string {
  const target = rule.match.findIndex((word) => word === "-j" || word === "-g");
  const [match, jump] = target < 0 ? [rule.match, []] : [rule.match.slice(0, target), rule.match.slice(target)];
  return joinWords([...match, "-m", "comment", "--comment", commentOf(rule), ...jump]);
}

const compareRules = (a: FilterRuleResource, b: FilterRuleResource): number =>
  a.order - b.order || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);

const sameRule = (a: FilterRuleResource, b: FilterRuleResource): boolean =>
  a.id === b.id &&
  a.order === b.order &&
  a.match.length === b.match.length &&
  a.match.every((word, index) => word === b.match[index]);
