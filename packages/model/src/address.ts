import ipaddr from "ipaddr.js";
import { z } from "zod";

/** A dotted quad as the kernel prints it. Plans hold thousands of them, and this is much cheaper than parsing. */
const dottedQuad = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/** Whether the text is an IPv4 address, spelled as the kernel prints it. */
export function isDottedQuad(text: string): boolean {
  return dottedQuad.test(text);
}

/** One spelling for each address: dotted quad, or RFC 5952 lower case. Returns undefined for anything that is not an address. */
export function canonicalAddress(text: string): string | undefined {
  if (dottedQuad.test(text)) return text;
  const trimmed = text.trim();
  if (!ipaddr.IPv4.isValidFourPartDecimal(trimmed) && !ipaddr.IPv6.isValid(trimmed)) return undefined;
  if (trimmed.includes("%")) return undefined;
  return ipaddr.parse(trimmed).toString();
}

/** An IPv4 or IPv6 address in its canonical spelling. */
export const IpAddress = z.string().transform((text, ctx) => {
  const address = canonicalAddress(text);
  if (address === undefined) {
    ctx.addIssue({ code: "custom", message: `"${text}" is not an IPv4 or IPv6 address`, params: { code: "address.invalid" } });
    return z.NEVER;
  }
  return address;
});

/** A network as `address/prefix` in its canonical spelling: host bits cleared, a bare address with its host prefix. */
export const Network = z.string().transform((text, ctx) => {
  const network = canonicalNetwork(text);
  if (network === undefined) {
    ctx.addIssue({
      code: "custom",
      message: `"${text}" is not a network, like 192.0.2.0/24`,
      params: { code: "network.invalid" },
    });
    return z.NEVER;
  }
  return network;
});

/** Undefined for anything that is no network. */
export function canonicalNetwork(text: string): string | undefined {
  const [address = "", prefix, ...rest] = text.trim().split("/");
  const canonical = canonicalAddress(address);
  if (canonical === undefined || rest.length > 0 || (prefix !== undefined && !/^\d{1,3}$/.test(prefix))) return undefined;
  const most = hostPrefix(canonical);
  const length = prefix === undefined ? most : Number(prefix);
  if (length > most) return undefined;
  const parser = most === 32 ? ipaddr.IPv4 : ipaddr.IPv6;
  return `${parser.networkAddressFromCIDR(`${canonical}/${length}`).toString()}/${length}`;
}

export type Family = 4 | 6;

/** 4 or 6. Throws for text that is no address: check at the edge with `IpAddress`. */
export function familyOf(address: string): Family {
  return dottedQuad.test(address) || ipaddr.parse(address).kind() === "ipv4" ? 4 : 6;
}

/** The length of a host prefix: 32 or 128. */
export function hostPrefix(address: string): 32 | 128 {
  return familyOf(address) === 4 ? 32 : 128;
}

/** Whether `address` lies in the network of `network/prefix`. Addresses of different families never do. */
export function inNetwork(address: string, network: string, prefix: number): boolean {
  if (dottedQuad.test(address) && dottedQuad.test(network)) {
    return prefix === 0 || (toNumber(address) ^ toNumber(network)) >>> (32 - prefix) === 0;
  }
  const a = ipaddr.parse(address);
  const n = ipaddr.parse(network);
  if (a.kind() !== n.kind()) return false;
  return a.match(n, prefix);
}

function toNumber(quad: string): number {
  return quad.split(".").reduce((number, part) => (number << 8) | Number(part), 0);
}

/** Why an address can be no VIP and no real server, or undefined when it can. */
export function unusableReason(address: string): string | undefined {
  const range = ipaddr.parse(address).range();
  switch (range) {
    case "unspecified":
    case "broadcast":
    case "multicast":
    case "loopback":
    case "linkLocal":
      return range;
    default:
      return undefined;
  }
}
