/** JSON with sorted keys: equal values have equal text. `undefined` members are left out, as JSON does. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`);
    return `{${members.join(",")}}`;
  }
  return JSON.stringify(value);
}

/** Two rounds of 32-bit multiply-and-mix over the text, as 16 hexadecimal digits. Tells values apart; proves nothing against an attacker. */
export function stableHash(text: string): string {
  let a = 0x811c9dc5;
  let b = 0x9e3779b9;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b ^ unit, 0x85ebca6b);
    b ^= b >>> 13;
  }
  return [mix(a ^ (b >>> 7)), mix(b ^ (a >>> 11))].map((half) => half.toString(16).padStart(8, "0")).join("");
}

/** The finaliser of MurmurHash3: every input bit moves every output bit. */
function mix(word: number): number {
  let mixed = word;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** The hash is of what a fragment says, not of when it was said. */
export function stamp<T extends object>(content: T, generation: number): T & { hash: string; generation: number } {
  return { ...content, hash: stableHash(canonicalJson(content)), generation };
}
