import { accessSync, constants } from "node:fs";
import { join } from "node:path";

/** Debian and Ubuntu packages the lab uses, each with a program that shows it is installed. */
const programs: Record<string, string> = {
  arping: "arping",
  conntrack: "conntrack",
  curl: "curl",
  ipvsadm: "ipvsadm",
  iproute2: "ip",
  iptables: "iptables-legacy",
  keepalived: "keepalived",
  kmod: "modprobe",
  procps: "sysctl",
  python3: "python3",
  strace: "strace",
  tcpdump: "tcpdump",
  "user-mode-linux": "linux.uml",
  "util-linux": "unshare",
};

/** What `apt-get install` must be given for every engine to work. */
export const systemPackages: readonly string[] = Object.keys(programs);

const searchPath = [
  ...new Set([...(process.env.PATH ?? "").split(":"), "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"]),
];

const isInstalled = (program: string) =>
  searchPath.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return folder !== "";
    } catch {
      return false;
    }
  });

/** Those of `systemPackages` that this machine lacks. */
export function missingSystemPackages(): string[] {
  return systemPackages.filter((name) => !isInstalled(programs[name]!));
}
