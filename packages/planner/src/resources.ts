import {
  type AddressResource,
  type FilterRuleResource,
  hostPrefix,
  type LinkStateResource,
  type ModuleResource,
  type Protocol,
  resourceKey,
  type SysctlResource,
} from "@trigon/model";

/** Small makers, so that a key and what it names are never spelled apart. */
export function module(name: string): ModuleResource {
  return { kind: "module", key: resourceKey.module(name), name };
}

export function sysctl(path: string, value: string): SysctlResource {
  return { kind: "sysctl", key: resourceKey.sysctl(path), path, value };
}

/** For settings whose files differ between kernels. */
export function sysctlIfPresent(path: string, value: string): SysctlResource {
  return { ...sysctl(path, value), ifPresent: true };
}

/** For settings where the kernel uses the greatest of several, and more than asked is as good. */
export function sysctlAtLeast(path: string, atLeast: number): SysctlResource {
  return { kind: "sysctl", key: resourceKey.sysctl(path), path, atLeast };
}

export function linkState(name: string, up: boolean, options: { ifPresent?: boolean } = {}): LinkStateResource {
  return { kind: "linkState", key: resourceKey.linkState(name), name, up, ...options };
}

/** A single address (/32 or /128) on an interface. */
export function hostAddress(name: string, address: string, purpose: AddressResource["purpose"]): AddressResource {
  const prefix = hostPrefix(address);
  return { kind: "address", key: resourceKey.address(name, address, prefix), interface: name, address, prefix, purpose };
}

export function filterRule(rule: Omit<FilterRuleResource, "kind" | "key">): FilterRuleResource {
  return { kind: "filterRule", key: resourceKey.filterRule(rule), ...rule };
}

/**
 * Order of rules inside a chain of ours, lowest first: a forged outer packet is dropped before anything else, what a device may bring is let
 * through before the rest of it is dropped.
 */
export const ruleOrder = {
  forgery: 10,
  notrack: 50,
  accept: 100,
  drop: 900,
  snat: 100,
  account: 100,
  path: 60,
  clamp: 200,
  member: 230,
  stranger: 240,
  letIn: 250,
  vipPass: 300,
  vipChain: 310,
} as const;

/** `-s 192.0.2.1/32`, spelled as iptables-save does, so that what is asked and what is found compare as text. */
export function from(address: string): string[] {
  return ["-s", `${address}/${hostPrefix(address)}`];
}

export function to(address: string): string[] {
  return ["-d", `${address}/${hostPrefix(address)}`];
}

export function port(protocol: Protocol, side: "sport" | "dport", number: number): string[] {
  return ["-p", protocol, "-m", protocol, `--${side}`, String(number)];
}

/** Names a fragment's own rules: its service, and for an older front end of that service its number too (`vs_1:2` of `rs:vs_1:2`). */
export function ruleSuffix({ id, serviceId }: { id: string; serviceId: string }): string {
  const rest = id.slice(id.indexOf(":") + 1);
  return rest.startsWith(`${serviceId}:`) ? rest : serviceId;
}
