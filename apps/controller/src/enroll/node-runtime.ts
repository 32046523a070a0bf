import { createHash } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { tarOfFile } from "./tar.ts";

/** Architectures as Node names them, and as the install script asks for them. */
export const runtimeArchitectures = ["x64", "arm64"] as const;
export type RuntimeArchitecture = (typeof runtimeArchitectures)[number];

export interface NodeRuntime {
  file: string;
  /** SHA-256 of the file, hex. */
  sha256: string;
}

/**
 * Whether this very Node can run on another machine: linked with everything but the C and C++ libraries, and for a glibc as old as the
 * official builds want.
 */
export function isSelfContained(variables: Record<string, unknown>, compiledForGlibc: string | undefined): boolean {
  const shared = Object.entries(variables).filter(([name]) => /^node_shared(_|$)/.test(name));
  if (shared.some(([, value]) => value === true || value === "true")) return false;
  const minor = /^2\.(\d+)$/.exec(compiledForGlibc ?? "")?.[1];
  return minor !== undefined && Number(minor) <= 28;
}

/**
 * A Node runtime for nodes that have none: this process's own for its architecture, and for another what the operator left as
 * `node-<architecture>.tar.gz` in the cache folder. Packed once and kept there.
 */
export async function nodeRuntime(architecture: RuntimeArchitecture, cacheDir: string): Promise<NodeRuntime | null> {
  const brought = join(cacheDir, `node-${architecture}.tar.gz`);
  const given = await digestOf(brought);
  if (given) return { file: brought, sha256: given };
  if (architecture !== process.arch || !isSelfContained(process.config.variables as never, glibcOfThisNode())) return null;
  const own = join(cacheDir, `node-${process.version}-${architecture}.tar.gz`);
  const cached = await digestOf(own);
  if (cached) return { file: own, sha256: cached };
  const archive = await promisify(gzip)(tarOfFile("bin/node", 0o755, await readFile(process.execPath)), { level: 4 });
  await mkdir(cacheDir, { recursive: true });
  await writeFile(`${own}.${process.pid}`, archive);
  await rename(`${own}.${process.pid}`, own);
  return { file: own, sha256: createHash("sha256").update(archive).digest("hex") };
}

function glibcOfThisNode(): string | undefined {
  const report = process.report.getReport() as unknown as { header: { glibcVersionCompiler?: string } };
  return report.header.glibcVersionCompiler;
}

async function digestOf(file: string): Promise<string | null> {
  try {
    return createHash("sha256")
      .update(await readFile(file))
      .digest("hex");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}
