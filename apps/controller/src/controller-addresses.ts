import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";

/**
 * The addresses at which people and agents reach this controller, none of which can be a VIP: this machine's own, those among `names`
 * (hosts of its URLs, names of its certificate), and what the other names resolve to, as soon as they do.
 */
export function controllerAddresses(names: readonly string[]): () => readonly string[] {
  const known = new Set<string>();
  for (const name of names) {
    if (isIP(name) !== 0) known.add(name);
    else
      lookup(name, { all: true }).then(
        (found) => found.forEach(({ address }) => void known.add(address)),
        () => undefined, // a name that only nodes can resolve
      );
  }
  return () => {
    const own = Object.values(networkInterfaces()).flatMap((legs) => (legs ?? []).map(({ address }) => address));
    return [...new Set([...known, ...own])];
  };
}
