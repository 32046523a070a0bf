import { readdirSync, readFileSync } from "node:fs";
import { release } from "node:os";
import type { IptablesBackend, Machine } from "@trigon/model";
import { programsOf, save } from "./iptables.ts";
import { isLoaded } from "./module.ts";
import { requiredTools } from "./required-tools.ts";
import { pathOf, run } from "./run.ts";

export interface MachineQuestions {
  modules: readonly string[];
  /** Paths under /proc/sys. */
  sysctls: readonly string[];
  /** Interfaces whose offloads matter. */
  offloads: readonly string[];
  /** The back end whose rules are ours too, as facts name it. */
  iptables: IptablesBackend;
}

/** Reads what doctor judges. Changes nothing and loads no module; what cannot be read is left out. */
export async function readMachine({ modules, sysctls, offloads, iptables }: MachineQuestions): Promise<Machine> {
  const tools = iptables === "none" ? undefined : programsOf(iptables);
  const firewall = tools ? await save(tools, 4, "filter").catch(() => "") : "";
  return {
    modules: Object.fromEntries(
      modules.flatMap((name) => {
        const state = moduleState(name);
        return state ? [[name, state]] : [];
      }),
    ),
    tools: Object.fromEntries(requiredTools.map(({ program }) => [program, pathOf(program) !== undefined])),
    capabilities: readCapabilities(),
    sysctls: Object.fromEntries(sysctls.flatMap((path) => readSysctl(path) ?? [])),
    firewall,
    nftables: await readNftables(),
    offloads: Object.fromEntries(await Promise.all(offloads.map(async (name) => [name, await readOffloads(name)] as const))),
    programs: readPrograms(),
  };
}

/** Whether the kernel has a module, or its module tree would give it; undefined where there is no tree that could tell. */
export function moduleState(name: string): Machine["modules"][string] | undefined {
  if (isLoaded(name)) return "loaded";
  if (listed().size === 0) return undefined;
  return listed().has(name.replaceAll("-", "_")) ? "available" : "missing";
}

let tree: ReadonlySet<string> | undefined;

/** Names in the module tree (depmod's modules.dep). It does not change under a running kernel but by packages, which restart the agent. */
function listed(): ReadonlySet<string> {
  tree ??= new Set(
    [...text(`/lib/modules/${release()}/modules.dep`).matchAll(/^(?:.*\/)?([^/:]+)\.ko[^:]*:/gm)].map((match) =>
      match[1]!.replaceAll("-", "_"),
    ),
  );
  return tree;
}

/** Bits of <linux/capability.h>. */
const capabilityBits = { NET_ADMIN: 12n, NET_RAW: 13n, SYS_MODULE: 16n } as const;

function readCapabilities(): string[] {
  const mask = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(text("/proc/self/status"))?.[1] ?? "0"}`);
  return Object.entries(capabilityBits).flatMap(([name, bit]) => ((mask >> bit) & 1n ? [name] : []));
}

function readSysctl(path: string): [string, string][] | undefined {
  const value = text(`/proc/sys/${path}`).trim();
  return value === "" ? undefined : [[path, value]];
}

/** ethtool's words for what is on; nothing where it is not installed. */
async function readOffloads(name: string): Promise<string[]> {
  const { stdout } = await run("ethtool", ["-k", name]).catch(() => ({ stdout: "" }));
  return [...stdout.matchAll(/^\s*([\w-]+): on\b/gm)].map((match) => match[1]!);
}

/** iptables' own tables in nftables are what `iptables-save` shows. */
const shownTables = /^(ip|ip6) (filter|nat|mangle|raw|security)$/;

async function readNftables(): Promise<string[]> {
  const { stdout } = await run("nft", ["list", "tables"]).catch(() => ({ stdout: "" }));
  return [...stdout.matchAll(/^table (\w+ \S+)/gm)].map((match) => match[1]!).filter((name) => !shownTables.test(name));
}

function readPrograms(): string[] {
  const ids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return [...new Set(ids.map((id) => text(`/proc/${id}/comm`).trim()).filter(Boolean))];
}

function text(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
