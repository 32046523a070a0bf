#!/usr/bin/env node
/**
 * Builds the agent into `dist/`: one JavaScript file with its code cache, npm netlink's prebuilt addons beside it, a launcher, and the archive that the
 * enrollment script installs. Besides Node itself it needs nothing of the target.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");
const root = join(dist, "trigon");
const architectures = ["x64", "arm64"];
const { version } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
const netlink = dirname(dirname(createRequire(import.meta.url).resolve("netlink/dist/raw.js")));

/** netlink looks for its prebuilt addon in its own package folder; in the bundle that is the folder of the bundle. */
const netlinkPrebuilds = {
  name: "netlink-prebuilds",
  setup(bundler) {
    bundler.onLoad({ filter: /netlink\/dist\/raw\.js$/ }, ({ path }) => {
      const original = readFileSync(path, "utf8");
      const contents = original.replace("require('node-gyp-build')(__dirname + '/..')", "require('node-gyp-build')(__dirname)");
      if (contents === original) throw new Error("netlink/dist/raw.js is not as expected: review this patch");
      return { contents, loader: "js" };
    });
  },
};

/** zod carries its messages in fifty languages; this program speaks one. */
const oneLocale = {
  name: "one-locale",
  setup(bundler) {
    bundler.onLoad({ filter: /zod\/v4\/locales\/index\.js$/ }, () => ({ contents: 'export { default as en } from "./en.js";' }));
  },
};

// Files are overwritten in place, not removed first: a running lab sees this folder, and loses sight of one that is made anew.
mkdirSync(join(root, "lib"), { recursive: true });
mkdirSync(join(root, "bin"), { recursive: true });

const bundle = join(root, "lib/agent.cjs");
const read = (path) => (existsSync(path) ? readFileSync(path, "utf8") : "");
const before = read(bundle);
await build({
  entryPoints: [join(here, "src/main.ts")],
  outfile: bundle,
  bundle: true,
  platform: "node",
  target: "node20.19",
  format: "cjs", // the only format that a code cache can be kept of
  minify: true,
  keepNames: true,
  legalComments: "none",
  // The agent needs npm netlink's raw socket only, a tenth of it.
  alias: { netlink: "netlink/dist/raw.js" },
  define: { "process.env.TRIGON_AGENT_VERSION": JSON.stringify(version) },
  plugins: [netlinkPrebuilds, oneLocale],
  logLevel: "warning",
});
for (const architecture of architectures)
  cpSync(join(netlink, `prebuilds/linux-${architecture}`), join(root, `lib/prebuilds/linux-${architecture}`), {
    recursive: true,
  });
copyFileSync(join(here, "src/start.cjs"), join(root, "lib/start.cjs"));
rmSync(join(root, "lib/agent.mjs"), { force: true }); // of earlier versions
// V8 knows a cache's source by its length only: one of another bundle must not stay. No two are made alike, so one that fits does.
if (read(bundle) !== before)
  for (const name of ["agent.cache", "agent.run.cache"]) rmSync(join(root, "lib", name), { force: true });
copyFileSync(join(here, "launcher.sh"), join(root, "bin/trigon-agent"));
chmodSync(join(root, "bin/trigon-agent"), 0o755);
const [, runOption] = /^options=(\S+)$/m.exec(readFileSync(join(here, "launcher.sh"), "utf8"));
for (const options of [[], [runOption]])
  execFileSync(process.execPath, [...options, join(root, "lib/start.cjs"), "--version"], {
    env: { ...process.env, TRIGON_WRITE_CODE_CACHE: "1" },
  });
const unit = join(here, "../../infra/install/trigon-agent.service");
if (existsSync(unit)) {
  mkdirSync(join(root, "share"), { recursive: true });
  copyFileSync(unit, join(root, "share/trigon-agent.service"));
}
writeFileSync(join(root, "VERSION"), `${version}\n`);

const archive = join(dist, "trigon-agent.tgz");
// Same input, same bytes: the digest is what the enrollment script pins.
const tar = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-C", root, "-cf", "-", "."];
const packed = execFileSync("tar", tar, { maxBuffer: 1 << 28 });
writeFileSync(archive, execFileSync("gzip", ["-9n"], { input: packed, maxBuffer: 1 << 28 }));
const digest = createHash("sha256").update(readFileSync(archive)).digest("hex");
writeFileSync(`${archive}.sha256`, `${digest}  trigon-agent.tgz\n`);
console.log(`trigon-agent ${version}: ${(readFileSync(archive).length / 1024).toFixed(0)} KiB, sha256 ${digest}`);
