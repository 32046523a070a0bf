import { type Resource, unreachable, type VrrpResource } from "@trigon/model";

/** Whether two resources ask the same of the kernel. */
export function sameResource(a: Resource, b: Resource): boolean {
  if (a === b) return true;
  if (a.kind === "sysctl" && b.kind === "sysctl") {
    return a.key === b.key && a.value === b.value && a.atLeast === b.atLeast && a.isDefault === b.isDefault;
  }
  return a.key === b.key && meets(a, b);
}

/** Whether what the kernel holds under a key is what it shall hold. Counters, order and purpose never enter: the kernel knows neither. */
export function meets(have: Resource, want: Resource): boolean {
  switch (want.kind) {
    case "module":
    case "address":
    case "fouPort":
      return have.kind === want.kind;
    case "link":
      return have.kind === "link" && have.type === want.type && have.local === want.local && have.remote === want.remote;
    case "linkState":
      return have.kind === "linkState" && have.up === want.up;
    case "sysctl":
      if (have.kind !== "sysctl" || have.value === undefined) return false;
      if (want.value !== undefined) return have.value === want.value;
      return Number(have.value) >= (want.atLeast ?? 0);
    case "filterRule":
      return have.kind === "filterRule" && have.chain === want.chain && sameList(have.match, want.match);
    case "ipvsService":
      return (
        have.kind === "ipvsService" &&
        have.scheduler === want.scheduler &&
        have.timeoutSeconds === want.timeoutSeconds &&
        have.netmask === want.netmask &&
        have.flags.length === want.flags.length &&
        (want.flags.length === 0 || sameList(have.flags.toSorted(), want.flags.toSorted()))
      );
    case "ipvsDestination":
      return (
        have.kind === "ipvsDestination" &&
        have.forward === want.forward &&
        have.weight === want.weight &&
        have.upperThreshold === want.upperThreshold &&
        have.lowerThreshold === want.lowerThreshold &&
        (want.forward !== "tunnel" || have.tunnelType === want.tunnelType)
      );
    case "syncDaemon":
      return have.kind === "syncDaemon" && have.interface === want.interface && have.syncId === want.syncId;
    case "vrrp":
      return have.kind === "vrrp" && sameVrrp(have, want);
    default:
      return unreachable(want);
  }
}

function sameVrrp(a: VrrpResource, b: VrrpResource): boolean {
  const words = ({ virtualRouterId, priority, advertMs, interface: name, source, unicastPeers, vips }: VrrpResource) => [
    ...[virtualRouterId, priority, advertMs, name, source].map(String),
    ...(unicastPeers === null ? ["multicast"] : ["unicast", ...unicastPeers.toSorted()]),
    ...vips.map(({ address, interface: device }) => `${address} ${device}`).toSorted(),
  ];
  return sameList(words(a), words(b));
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}
