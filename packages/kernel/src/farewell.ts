import { readSysctl, writeSysctl } from "./sysctl-files.ts";

/** Whether the kernel ends the connections of a destination that goes, instead of keeping them for one that may return. */
export const expireNodest = "net/ipv4/vs/expire_nodest_conn";

/** How many deletions are under way for which the setting was changed. */
let lent = 0;

/**
 * Deletes destinations, or services with them, so that their connections end with them and clients are reset at their next packet. The kernel
 * (from 5.9 on: ip_vs_enqueue_expire_nodest_conns) asks the setting when a destination goes. At other times it is 0: a table that somebody else
 * emptied then keeps its connections until it is filled again.
 */
export async function endingConnections<T>(deletion: () => Promise<T>): Promise<T> {
  if (lent === 0 && readSysctl(expireNodest) !== "0") return deletion();
  if (lent === 0) writeSysctl(expireNodest, "1");
  lent++;
  try {
    return await deletion();
  } finally {
    lent--;
    if (lent === 0) writeSysctl(expireNodest, "0");
  }
}

/** What the setting is but for deletions that are under way; undefined where there is none. */
export function standingSysctl(path: string): string | undefined {
  return path === expireNodest && lent > 0 ? "0" : readSysctl(path);
}
