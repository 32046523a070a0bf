// The system packages that Trigon's lab and tests need, by purpose. Uses only Node's built-ins: it runs before `npm ci`.
import { execFileSync, spawnSync } from "node:child_process";
import { accessSync, constants, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Debian package → a program (or file) that proves it is there. */
const lab = JSON.parse(readFileSync(new URL("../packages/lab/system-packages.json", import.meta.url), "utf8"));
const tests = {
  conntrack: "conntrack",
  strace: "strace",
  shellcheck: "shellcheck",
  openssl: "openssl",
  chromium: "chromium",
  "fonts-noto-cjk": "/usr/share/fonts/opentype/noto",
};
export const systemPackages = { lab, tests, all: { ...lab, ...tests } };

const present = (proof) => {
  const candidates = proof.startsWith("/")
    ? [proof]
    : ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"].map((d) => `${d}/${proof}`);
  return candidates.some((path) => {
    try {
      accessSync(path, constants.R_OK);
      return true;
    } catch {
      return false;
    }
  });
};

/** The names of the packages for a purpose that this machine lacks. */
export function missing(purpose) {
  return Object.entries(systemPackages[purpose]).flatMap(([name, proof]) => (present(proof) ? [] : [name]));
}

/** Installs what is missing when root; otherwise throws with the one line that an administrator must run. */
export function ensureSystemPackages(purpose, { say = console.log } = {}) {
  const names = missing(purpose);
  if (names.length === 0) return;
  const line = `apt-get update && apt-get install -y --no-install-recommends ${names.join(" ")}`;
  if (process.getuid?.() !== 0 || spawnSync("apt-get", ["--version"]).status !== 0) {
    throw new Error(`These system packages are missing. Run this once, then start again:\n\n  sudo sh -c '${line}'\n`);
  }
  say(`installing ${names.length} system packages: ${names.join(" ")}`);
  execFileSync("sh", ["-c", line], {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [mode, purpose = "all"] = process.argv.slice(2);
  if (mode === "--list") console.log(Object.keys(systemPackages[purpose]).join(" "));
  else if (mode === "--missing") console.log(missing(purpose).join(" "));
  else ensureSystemPackages(purpose);
}
