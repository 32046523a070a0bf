/** AF_INET and AF_INET6 of <sys/socket.h>. */
export const AF_INET = 2;
export const AF_INET6 = 10;

export type Family = "inet" | "inet6";

export const familyNumber = (family: Family): number => (family === "inet" ? AF_INET : AF_INET6);
/** The family an address is written in. */
export const familyOf = (address: string): Family => (address.includes(":") ? "inet6" : "inet");

/** The 4 or 16 bytes of an address in network order, or undefined when the text is none. No zone, no prefix. */
export function parseInet(text: string): Uint8Array | undefined {
  if (text.includes(":")) return parseInet6(text);
  const bytes = new Uint8Array(4);
  return parseInet4(text, bytes, 0) ? bytes : undefined;
}

/** RFC 5952 text of 4 or 16 bytes. */
export const formatInet = (bytes: Uint8Array): string =>
  bytes.length === 4 ? `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}` : formatInet6(bytes);

/** Puts the four bytes of an IPv4 address into `bytes`; false when the text is none. */
export function parseInet4(text: string, bytes: Uint8Array, at: number): boolean {
  let part = 0;
  let digits = 0;
  let value = 0;
  for (let i = 0; i <= text.length; i++) {
    const code = i === text.length ? 46 : text.charCodeAt(i);
    if (code === 46) {
      if (digits === 0 || part > 3) return false;
      bytes[at + part++] = value;
      digits = 0;
      value = 0;
    } else {
      if (code < 48 || code > 57) return false;
      if (digits === 1 && value === 0) return false; // "010" is eight to some programs and ten to others
      value = value * 10 + code - 48;
      if (++digits > 3 || value > 255) return false;
    }
  }
  return part === 4;
}

function parseInet6(text: string): Uint8Array | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = groups(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? groups(halves[1]!, true) : [];
  if (!head || !tail) return undefined;
  const zeros = 16 - head.length - tail.length;
  if (halves.length === 1 ? zeros !== 0 : zeros < 2) return undefined;
  const bytes = new Uint8Array(16);
  bytes.set(head, 0);
  bytes.set(tail, 16 - tail.length);
  return bytes;
}

/** The bytes of a run of groups; the last may be a dotted IPv4 address when the run ends the text (RFC 4291, 2.2). */
function groups(run: string, isEnd: boolean): number[] | undefined {
  if (run === "") return [];
  const out: number[] = [];
  const parts = run.split(":");
  for (const [i, part] of parts.entries()) {
    if (isEnd && i === parts.length - 1 && part.includes(".")) {
      const v4 = new Uint8Array(4);
      if (!parseInet4(part, v4, 0)) return undefined;
      out.push(...v4);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      const value = Number.parseInt(part, 16);
      out.push(value >> 8, value & 0xff);
    }
  }
  return out;
}

function formatInet6(bytes: Uint8Array): string {
  const words = Array.from({ length: 8 }, (_, i) => (bytes[2 * i]! << 8) | bytes[2 * i + 1]!);
  if (words.slice(0, 5).every((word) => word === 0) && words[5] === 0xffff) return `::ffff:${formatInet(bytes.subarray(12, 16))}`;
  let best = { start: 8, length: 1 }; // a lone zero group is never shortened (RFC 5952, 4.2.2)
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && words[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const hex = words.map((word) => word.toString(16));
  if (best.start === 8) return hex.join(":");
  return `${hex.slice(0, best.start).join(":")}::${hex.slice(best.start + best.length).join(":")}`;
}

/** How `netmask` of an IPVS service says a prefix length: dotted for IPv4, the number itself for IPv6. */
export const netmaskText = (family: Family, prefix: number): string =>
  family === "inet6"
    ? String(prefix)
    : formatInet(Uint8Array.from([0, 8, 16, 24], (from) => 0xff00 >> Math.max(0, Math.min(8, prefix - from))));

/** The way back; undefined for an IPv4 mask with holes, which `ipvsadm -M` lets people set. */
export function netmaskPrefix(family: Family, netmask: string): number | undefined {
  if (family === "inet6") return Number(netmask);
  for (let prefix = 0; prefix <= 32; prefix++) if (netmaskText("inet", prefix) === netmask) return prefix;
  return undefined;
}
