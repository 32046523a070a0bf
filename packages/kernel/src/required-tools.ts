import type { NodeRole } from "@trigon/model";

/** A program that a node needs, and the packages that bring it. */
export interface RequiredTool {
  program: string;
  /** What it is for, in a few words. */
  purpose: string;
  roles: readonly NodeRole[];
  packages: { debian: string; fedora: string };
}

/** Programs that this package starts; all else goes over netlink and /proc/sys. Of arping, either flavour will do. */
export const requiredTools: readonly RequiredTool[] = [
  {
    program: "modprobe",
    purpose: "load kernel modules",
    roles: ["director", "realServer"],
    packages: { debian: "kmod", fedora: "kmod" },
  },
  {
    program: "iptables",
    purpose: "filter tunnels, translate sources, count replies",
    roles: ["director", "realServer"],
    packages: { debian: "iptables", fedora: "iptables-nft" },
  },
  {
    program: "arping",
    purpose: "probe and announce VIPs",
    roles: ["director"],
    packages: { debian: "iputils-arping", fedora: "iputils" },
  },
];
