import { hostname, networkInterfaces } from "node:os";
import type { ListenAddress } from "./config.ts";

const everywhere = new Set(["0.0.0.0", "::"]);

/**
 * The names and addresses that a listener's certificate vouches for: its URL's host first, what the operator added, this machine's own
 * name, loopback, and the addresses it listens on.
 */
export function certificateNames(url: string, extra: readonly string[], listen: readonly ListenAddress[]): string[] {
  const names = [new URL(url).hostname.replace(/^\[(.*)\]$/, "$1"), ...extra, hostname(), "localhost", "127.0.0.1", "::1"];
  for (const address of listen) {
    if (!("host" in address)) continue;
    if (!everywhere.has(address.host)) names.push(address.host);
    else
      for (const one of Object.values(networkInterfaces()).flat())
        if (one && !one.address.startsWith("fe80:")) names.push(one.address);
  }
  return [...new Set(names)];
}
