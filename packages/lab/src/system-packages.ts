import { accessSync, constants, readFileSync } from "node:fs";
import { join } from "node:path";

/** Debian and Ubuntu packages the lab uses, each with a program or file that shows it is installed. */
const proofs: Record<string, string> = JSON.parse(readFileSync(new URL("../system-packages.json", import.meta.url), "utf8"));

/** What `apt-get install` must be given for every engine to work. */
export const systemPackages: readonly string[] = Object.keys(proofs);

const searchPath = [
  ...new Set([...(process.env.PATH ?? "").split(":"), "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"]),
].filter(Boolean);

const isInstalled = (proof: string) =>
  (proof.startsWith("/") ? [proof] : searchPath.map((folder) => join(folder, proof))).some((path) => {
    try {
      accessSync(path, constants.R_OK);
      return true;
    } catch {
      return false;
    }
  });

/** Those of `systemPackages` that this machine lacks. */
export function missingSystemPackages(): string[] {
  return systemPackages.filter((name) => !isInstalled(proofs[name]!));
}
