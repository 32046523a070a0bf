/**
 * What else changes when a forwarding switch is written, as the kernel does it (inet_forward_change of net/ipv4/devinet.c,
 * addrconf_fixup_forwarding of net/ipv6/addrconf.c). Only a write that changes the switch has effects.
 */
const switches: readonly { path: string; family: 4 | 6 }[] = [
  { path: "net/ipv4/ip_forward", family: 4 },
  { path: "net/ipv4/conf/all/forwarding", family: 4 },
  { path: "net/ipv6/conf/all/forwarding", family: 6 },
];

/** The family whose forwarding this sysctl switches for all interfaces at once, if it is one that does. */
export const forwardingFamily = (path: string): 4 | 6 | undefined => switches.find((known) => known.path === path)?.family;

/** The files under net/ipvN/conf that the switch changes, given the names of the interfaces there. */
export function changedByForwarding(family: 4 | 6, names: readonly string[]): string[] {
  const conf = `net/ipv${family}/conf`;
  const paths = names.map((name) => `${conf}/${name}/forwarding`);
  return family === 4 ? [...paths, `${conf}/all/accept_redirects`, "net/ipv4/ip_forward"] : paths;
}

/** What one of those files holds after the switch was set to `value`. */
export function afterForwarding(path: string, value: string): string {
  const isOn = value !== "0";
  if (path.endsWith("/accept_redirects")) return isOn ? "0" : "1";
  return value;
}
