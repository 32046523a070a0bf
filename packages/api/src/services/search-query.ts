import { canonicalAddress, canonicalNetwork, inNetwork } from "@trigon/model";

/** A search as it was understood. */
export interface SearchQuery {
  /** In lower case; what is left when an address was found is heeded too. */
  words: string[];
  /** Everything in this network; a single address has its host prefix. */
  network: { address: string; prefix: number; text: string } | null;
  port: number | null;
}

/** "who uses 10.0.0.21?" means the address: these words around it say nothing. */
const fillers = new Set(["who", "uses", "use", "what", "is", "where", "which", "on", "谁在用", "谁用", "哪里用", "在用"]);

/** Reads `10.0.0.21`, `10.0.0.21:80`, `[2001:db8::1]:443`, `10.0.0.0/24` or words, and questions around them. Pure. */
export function parseSearch(text: string): SearchQuery {
  const query: SearchQuery = { words: [], network: null, port: null };
  for (const raw of text.trim().split(/\s+/)) {
    const token = raw.replace(/[?？,，。]+$/u, "");
    if (token === "") continue;
    const place = query.network === null ? placeOf(token.replace(/^(谁在用|谁用|哪里用)/u, "")) : null;
    if (place) {
      query.network = place.network;
      query.port = place.port;
    } else query.words.push(token.toLowerCase());
  }
  if (query.network) query.words = query.words.filter((word) => !fillers.has(word));
  return query;
}

function placeOf(token: string): Pick<SearchQuery, "network" | "port"> | null {
  const bracketed = /^\[([^\]]+)\](?::(\d{1,5}))?$/.exec(token);
  const dotted = /^([\d.]+):(\d{1,5})$/.exec(token);
  const [, address = token, port] = bracketed ?? dotted ?? [];
  const network = canonicalNetwork(address);
  if (network === undefined) return null;
  const [base = "", prefix = ""] = network.split("/");
  const text = address.includes("/") ? network : (canonicalAddress(address) ?? base);
  return { network: { address: base, prefix: Number(prefix), text }, port: port === undefined ? null : Number(port) };
}

/** Whether an address is the one, or in the network, that was asked for. */
export function isAsked({ network }: SearchQuery, address: string): boolean {
  return network !== null && inNetwork(address, network.address, network.prefix);
}

/** How well words fit: 0 is the text itself, 1 begins with it, 2 has it somewhere; undefined: not at all. */
export function fit(words: readonly string[], text: string, ...more: readonly string[]): number | undefined {
  const whole = words.join(" ");
  const lower = text.toLowerCase();
  if (lower === whole) return 0;
  if (lower.startsWith(whole)) return 1;
  const all = [text, ...more].join(" ").toLowerCase();
  return words.every((word) => all.includes(word)) ? 2 : undefined;
}
