import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

/** Who may import whom; the reasons are in ARCHITECTURE.md. `node` says whether `node:*` is allowed outside tests. */
const packages: Record<string, { own: string[]; thirdParty: string[] | "any"; node: boolean }> = {
  "packages/model": { own: [], thirdParty: ["zod", "ipaddr.js"], node: false },
  "packages/planner": { own: ["model"], thirdParty: ["zod"], node: false },
  "packages/reconciler": { own: ["model"], thirdParty: [], node: false },
  "packages/health": { own: ["model"], thirdParty: [], node: true },
  "packages/netlink": { own: [], thirdParty: ["netlink"], node: true },
  "packages/kernel": { own: ["model", "reconciler", "netlink"], thirdParty: [], node: true },
  "packages/db": { own: ["model"], thirdParty: "any", node: true },
  "packages/api": { own: ["model", "planner", "reconciler", "db"], thirdParty: "any", node: true },
  "packages/ui": { own: ["model"], thirdParty: "any", node: false },
  "packages/lab": { own: ["model"], thirdParty: ["zod", "tsx"], node: true },
  "apps/controller": { own: ["model", "api", "db"], thirdParty: "any", node: true },
  "apps/web": { own: ["model", "planner", "ui", "api"], thirdParty: "any", node: true },
  "apps/agent": { own: ["model", "planner", "reconciler", "kernel", "health"], thirdParty: "any", node: true },
};
/** Packages that one place alone may import. */
const exclusive: Record<string, string> = {
  netlink: "packages/netlink",
  "@prisma/client": "packages/db",
  "@prisma/adapter-pg": "packages/db",
};
/** Paths that only the kernel package may touch. */
const kernelPaths =
  /["'`](\/proc\/sys|\/proc\/modules|\/sys\/module)|["'`](modprobe|iptables(-\w+)*|ip6tables(-\w+)*|arping)["'`]/;

const sources = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "apps", "packages"], {
  encoding: "utf8",
})
  .split("\n")
  .filter((path) => /\.(ts|tsx)$/.test(path) && !path.includes("/generated/") && !path.endsWith(".d.ts") && existsSync(path));
const isTest = (path: string) => /\.test\.tsx?$|\/testing\/|\/test\//.test(path);
const importPattern = /(?:^|\n)\s*(import|export)\s+(type\s+)?(?:[^"';]*?\sfrom\s+)?["']([^"']+)["']/g;

function importsOf(path: string) {
  const text = readFileSync(path, "utf8");
  return [...text.matchAll(importPattern)].map((match) => ({ isType: match[2] !== undefined, from: match[3] as string }));
}
const packageName = (specifier: string) =>
  specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");

for (const [folder, rule] of Object.entries(packages)) {
  test(`${folder} imports only what the architecture allows`, () => {
    const wrong: string[] = [];
    for (const path of sources.filter((source) => source.startsWith(`${folder}/`) && !isTest(source))) {
      for (const { isType, from } of importsOf(path)) {
        if (from.startsWith(".") || from.startsWith("@/")) {
          const climbs = from.split("/").filter((part) => part === "..").length;
          const depth = path.slice(folder.length + 1).split("/").length - 1;
          if (from.startsWith(".") && climbs > depth) wrong.push(`${path}: ${from} leaves its package`);
          continue;
        }
        if (from.startsWith("node:")) {
          if (!rule.node) wrong.push(`${path}: ${from}`);
          continue;
        }
        const name = packageName(from);
        if (name.startsWith("@trigon/")) {
          const own = name.slice("@trigon/".length);
          if (!rule.own.includes(own)) wrong.push(`${path}: ${name}`);
          if (folder === "apps/web" && own === "api" && !isType) wrong.push(`${path}: the web app takes only types of ${name}`);
        } else if (exclusive[name] && exclusive[name] !== folder && !isType)
          wrong.push(`${path}: ${name} belongs to ${exclusive[name]}`);
        else if (rule.thirdParty !== "any" && !rule.thirdParty.includes(name)) wrong.push(`${path}: ${name}`);
      }
    }
    expect(wrong).toEqual([]);
  });
}

test("only packages/kernel touches /proc/sys, modules, iptables and arping", () => {
  const wrong = sources.filter(
    (path) =>
      !isTest(path) &&
      !path.startsWith("packages/kernel/") &&
      !path.startsWith("packages/lab/") &&
      !/^(packages\/(model|planner|reconciler|ui)|apps\/web)\//.test(path) && // these can only spell a command, not run it
      kernelPaths.test(readFileSync(path, "utf8")),
  );
  expect(wrong).toEqual([]);
});

test("TRPCError is thrown in the api's routers and adapters only", () => {
  const wrong = sources.filter(
    (path) =>
      !isTest(path) &&
      /new TRPCError\(/.test(readFileSync(path, "utf8")) &&
      !/^packages\/api\/src\/(routers?\/|trpc|rest)/.test(path) &&
      !path.startsWith("apps/controller/src/front/"),
  );
  expect(wrong).toEqual([]);
});

test("model, planner and reconciler know neither clock nor chance", () => {
  const wrong = sources.filter(
    (path) =>
      /^packages\/(model|planner|reconciler)\//.test(path) &&
      !isTest(path) &&
      /\bDate\.now\(|new Date\(\)|Math\.random\(|performance\.now\(|crypto\./.test(readFileSync(path, "utf8")),
  );
  expect(wrong).toEqual([]);
});

test("every workspace is covered by a rule", () => {
  const folders = new Set(sources.map((path) => path.split("/").slice(0, 2).join("/")));
  expect([...folders].filter((folder) => !packages[folder])).toEqual([]);
});
