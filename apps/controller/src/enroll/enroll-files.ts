import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DomainError } from "@trigon/model";
import type { EnrollFiles } from "./enroll-routes.ts";
import { fillInstallScript } from "./install-script.ts";
import { nodeRuntime, type RuntimeArchitecture } from "./node-runtime.ts";

export interface EnrollFilesOptions {
  /** The checkout: `infra/install` holds the templates. */
  root: string;
  cacheDir: string;
  agentBundle: string;
  version: string;
  publicUrl: string;
  agentUrl: string;
  /** PEM. */
  ca: string;
}

/** The files a machine fetches while it enrolls. Digests are of what is on the disk now, so a rebuilt bundle needs no restart. */
export function createEnrollFiles(options: EnrollFilesOptions): EnrollFiles {
  const { root, cacheDir, agentBundle, version, publicUrl, agentUrl, ca } = options;
  const runtimes = new Map<RuntimeArchitecture, ReturnType<typeof nodeRuntime>>();
  const runtime = (architecture: RuntimeArchitecture) => {
    const known = runtimes.get(architecture);
    if (known) return known;
    const made = nodeRuntime(architecture, cacheDir);
    runtimes.set(architecture, made);
    made.catch(() => runtimes.delete(architecture));
    return made;
  };
  return {
    runtime,
    bundle: async () => agentBundle,
    async script() {
      const installFile = (name: string) => readFile(join(root, "infra/install", name), "utf8");
      const [template, unit, bundle, x64, arm64] = await Promise.all([
        installFile("install.sh"),
        installFile("trigon-agent.service"),
        readFile(agentBundle).catch((cause: unknown) => {
          throw new DomainError("resource.notFound", "The agent's bundle was not built on this controller.", [], { cause });
        }),
        runtime("x64"),
        runtime("arm64"),
      ]);
      return fillInstallScript(template, {
        VERSION: version,
        CONSOLE_URL: publicUrl,
        AGENT_URL: agentUrl,
        BUNDLE_SHA256: createHash("sha256").update(bundle).digest("hex"),
        NODE_SHA256_X64: x64?.sha256 ?? "",
        NODE_SHA256_ARM64: arm64?.sha256 ?? "",
        CA_PEM: ca,
        UNIT: unit,
      });
    },
  };
}
