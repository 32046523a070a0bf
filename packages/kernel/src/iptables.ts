import { readFileSync } from "node:fs";
import type { FilterRuleResource, IptablesBackend } from "@trigon/model";
import { KernelError } from "./failure.ts";
import { type RunResult, run } from "./run.ts";

type Family = FilterRuleResource["family"];
type Table = FilterRuleResource["table"];

/** The programs of one back end: `iptables-nft`, `iptables-legacy`, or the unmarked ones when a node has no others. */
export interface Iptables {
  backend: Exclude<IptablesBackend, "none">;
  /** What stands between `iptables`/`ip6tables` and `-save`/`-restore`. */
  infix: string;
}

/** The tables of the legacy back end that are in use; the kernel lists them, so that a question need not load a module. */
export function legacyTables(family: Family): string[] {
  try {
    return readFileSync(family === 4 ? "/proc/net/ip_tables_names" : "/proc/net/ip6_tables_names", "utf8")
      .split("\n")
      .filter(Boolean);
  } catch {
    return [];
  }
}

const program = (family: Family, { infix }: Iptables, verb: "save" | "restore") =>
  `${family === 4 ? "iptables" : "ip6tables"}${infix}-${verb}`;

/** The rules of one table, or of all, with counters. An unused table is empty text. */
export async function save(tools: Iptables, family: Family, table?: Table): Promise<string> {
  if (tools.backend === "legacy") {
    const inUse = legacyTables(family);
    if (inUse.length === 0 || (table && !inUse.includes(table))) return "";
  }
  const { code, stdout, stderr } = await run(program(family, tools, "save"), ["-c", ...(table ? ["-t", table] : [])]);
  if (code !== 0) throw refusal(`read ${table ?? "all"} rules of IPv${family}`, { code, stdout, stderr });
  return stdout;
}

/** Applies lines to one table in one transaction of the kernel. */
export async function restore(tools: Iptables, family: Family, table: Table, lines: readonly string[]): Promise<void> {
  const input = `*${table}\n${lines.join("\n")}\nCOMMIT\n`;
  const result = await run(program(family, tools, "restore"), ["--noflush", "--wait", "10"], { input });
  if (result.code !== 0) throw refusal(`change ${table} rules of IPv${family}`, result);
}

/** Exit codes of xtables (xtables.h): 2 a wrong parameter, 3 another kernel version, 4 the lock or another resource. */
function refusal(tried: string, { code, stderr }: RunResult): KernelError {
  const lines = stderr.split("\n").map((line) => line.trim());
  const said = lines.filter(Boolean).join("; ").slice(0, 300);
  const errno = /Permission denied|Operation not permitted/.test(stderr)
    ? "EPERM"
    : /No chain\/target\/match|does not exist|Couldn't load|missing kernel module/.test(stderr)
      ? "ENOENT"
      : code === 4
        ? "EAGAIN"
        : "EINVAL";
  return new KernelError(errno, `Could not ${tried}: ${said || `iptables ended with ${code}`}`);
}

/**
 * The back end to write to. Rules of both act on every packet, so ours go where they do already, or where the host's own are: nft, unless the
 * kernel has no nftables, or legacy tables hold rules and nft's hold none.
 */
export async function detectIptables(): Promise<Iptables | undefined> {
  const [nft, legacy] = await Promise.all([usable("nft"), usable("legacy")]);
  if (!nft || !legacy) return nft ?? legacy;
  const legacyText = `${await save(legacy, 4)}${await save(legacy, 6)}`;
  if (!hasRules(legacyText)) return nft;
  const nftText = `${await save(nft, 4)}${await save(nft, 6).catch(() => "")}`;
  if (/^:TRIGON-/m.test(legacyText)) return legacy;
  return hasRules(nftText) ? nft : legacy;
}

/** Whether the text of iptables-save holds a rule, or a policy other than to accept. */
const hasRules = (text: string): boolean => /^(\[\d+:\d+\] )?-A /m.test(text) || /^:\S+ DROP /m.test(text);

async function usable(backend: Iptables["backend"]): Promise<Iptables | undefined> {
  for (const infix of [`-${backend}`, ""]) {
    try {
      const tools: Iptables = { backend, infix };
      const { code, stdout } = await run(`iptables${infix}`, ["-V"]);
      const isNft = stdout.includes("nf_tables");
      if (code !== 0 || isNft !== (backend === "nft")) continue;
      if (backend === "nft") await save(tools, 4, "filter"); // fails where the kernel has no nftables
      return tools;
    } catch {
      // not this one
    }
  }
  return undefined;
}
