import type { LabHost } from "./lab-host.ts";
import { until } from "./until.ts";

/** What a node's kernel holds, by programs that are not ours; counters, ages and the like removed, so that two can be compared. */
export interface Snapshot {
  /** `ip -j addr`, by interface. */
  addresses: Record<string, string[]>;
  /** `ip -d -j link`, by interface. */
  links: Record<string, unknown>;
  /** `ip route show table all` and the same for IPv6, sorted. */
  routes: string[];
  /** `ip rule` and `ip -6 rule`, in order. */
  rules: string[];
  /** `sysctl -a`, by key. */
  sysctls: Record<string, string>;
  /** `ipvsadm -Sn`, in order of services. */
  ipvs: string[];
  /** `iptables-legacy-save` and `iptables-nft-save`, without counters, comments and empty tables. */
  filters: string[];
}

/** Sysctls that change by themselves, or that every process sees differently. */
const volatileSysctls =
  /^(kernel\.random\.|kernel\.ns_last_pid|kernel\.pty\.nr|fs\.(dentry-state|file-nr|inode-|aio-nr|quota)|net\.netfilter\.nf_conntrack_count|kernel\.perf_|vm\.|dev\.|debug\.|.*\.(stable_secret|gc_elasticity)$)/;

/** Takes all of a host's network state at once, in one shell, when no IPv6 address is still being looked for (RFC 4862, 5.4): its route comes after. */
export async function snapshot(host: LabHost): Promise<Snapshot> {
  await until(`no tentative address on ${host.name}`, async () => {
    const asked = await host.sh("ip -6 -o addr show tentative 2>/dev/null", { allowFailure: true });
    return lines(asked).every((line) => line.includes("dadfailed"));
  });
  const commands = [
    "ip -j addr",
    "ip -d -j link",
    "ip -N route show table all; ip -N -6 route show table all",
    "ip -N rule; ip -N -6 rule",
    "sysctl -a",
    "ipvsadm -Sn",
    "iptables-legacy-save; ip6tables-legacy-save; iptables-nft-save; ip6tables-nft-save",
  ];
  const separator = "=====next=====";
  const text = await host.sh(commands.map((command) => `{ ${command}; } 2>/dev/null; echo ${separator}`).join("\n"), {
    allowFailure: true,
  });
  const [addresses = "", links = "", routes = "", rules = "", sysctls = "", ipvs = "", filters = ""] = text
    .split(separator)
    .map((part) => part.trim());
  return {
    addresses: parseAddresses(addresses),
    links: parseLinks(links),
    routes: lines(routes).map(stableRoute).sort(),
    rules: lines(rules),
    sysctls: parseSysctls(sysctls),
    ipvs: lines(ipvs),
    filters: parseFilters(filters),
  };
}

const lines = (text: string) =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);

const stableRoute = (route: string) => route.replace(/ expires \S+/, "").replace(/ used \S+/, "");

export function parseAddresses(text: string): Snapshot["addresses"] {
  const found: { ifname: string; addr_info: { local: string; prefixlen: number; scope: string; label?: string }[] }[] =
    JSON.parse(text || "[]");
  return Object.fromEntries(
    found.map(({ ifname, addr_info }) => [
      ifname,
      addr_info.map(({ local, prefixlen, scope, label }) => [`${local}/${prefixlen}`, scope, label].join(" ").trim()),
    ]),
  );
}

export function parseLinks(text: string): Snapshot["links"] {
  const found: Record<string, unknown>[] = JSON.parse(text || "[]");
  return Object.fromEntries(
    found.map(({ ifindex: _ifindex, link_index: _peer, stats: _stats, stats64: _stats64, ...rest }) => [
      rest.ifname as string,
      rest,
    ]),
  );
}

export function parseSysctls(text: string): Snapshot["sysctls"] {
  const pairs = lines(text).map((line) => /^(\S+) =\s?(.*)$/.exec(line));
  return Object.fromEntries(
    pairs
      .filter((pair) => pair !== null)
      .map(([, key, value]) => [key!, value!])
      .filter(([key]) => !volatileSysctls.test(key!)),
  );
}

/** Rules of `iptables-save` texts, each with its table; chains only when they are not as the kernel makes them. */
export function parseFilters(text: string): string[] {
  const rules: string[] = [];
  let table = "";
  for (const line of lines(text)) {
    if (line.startsWith("*")) table = line.slice(1);
    else if (line.startsWith("-") || line.startsWith("[")) rules.push(`${table} ${line.replace(/^\[\d+:\d+\] /, "")}`);
    else if (line.startsWith(":")) {
      const [chain, policy] = line.slice(1).split(" ");
      if (policy !== "ACCEPT") rules.push(`${table} :${chain} ${policy}`);
    }
  }
  return rules;
}

/** What differs between two snapshots, one readable line each; empty when the host is as found. */
export function differences(before: Snapshot, after: Snapshot): string[] {
  const found: string[] = [];
  for (const part of Object.keys(before) as (keyof Snapshot)[]) {
    const [old, now] = [entries(before[part]), entries(after[part])];
    for (const [key, value] of old) {
      if (!now.has(key)) found.push(`${part}: gone: ${key} ${value}`.trim());
      else if (now.get(key) !== value) found.push(`${part}: ${key} was ${value}, is ${now.get(key)}`);
    }
    for (const [key, value] of now) if (!old.has(key)) found.push(`${part}: new: ${key} ${value}`.trim());
  }
  return found;
}

function entries(part: Snapshot[keyof Snapshot]): Map<string, string> {
  if (Array.isArray(part)) return new Map(part.map((line) => [line, ""]));
  return new Map(Object.entries(part).map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)]));
}
