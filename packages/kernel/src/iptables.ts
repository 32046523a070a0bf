import { readFileSync, realpathSync } from "node:fs";
import { basename } from "node:path";
import type { FilterRuleResource, IptablesBackend } from "@trigon/model";
import { hasNftables } from "@trigon/netlink";
import { KernelError } from "./failure.ts";
import { pathOf, type RunResult, run } from "./run.ts";

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

/** Lines for one table, which the kernel takes in one transaction. */
export interface TableLines {
  table: Table;
  lines: readonly string[];
}

/** Applies lines to tables, one after the other: after an error those before it hold theirs. */
export async function restore(tools: Iptables, family: Family, parts: readonly TableLines[]): Promise<void> {
  const input = parts.map(({ table, lines }) => `*${table}\n${lines.join("\n")}\nCOMMIT\n`).join("");
  const result = await run(program(family, tools, "restore"), ["--noflush", "--wait", "10"], { input });
  const names = parts.map(({ table }) => table).join(" and ");
  if (result.code !== 0) throw refusal(`change ${names} rules of IPv${family}`, result);
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
  const nft = programsOf("nft");
  const legacy = programsOf("legacy");
  const legacyText = legacy ? `${await save(legacy, 4)}${await save(legacy, 6)}` : "";
  if (legacy && /^:TRIGON-/m.test(legacyText)) return legacy;
  const nftText = nft && (await hasNftables()) ? await save(nft, 4).catch(() => undefined) : undefined;
  if (nftText === undefined || !legacy || !hasRules(legacyText)) return nftText === undefined ? legacy : nft;
  return hasRules(nftText + (await save(nft!, 6).catch(() => ""))) ? nft : legacy;
}

/** Whether the text of iptables-save holds a rule, or a policy other than to accept. */
const hasRules = (text: string): boolean => /^(\[\d+:\d+\] )?-A /m.test(text) || /^:\S+ DROP /m.test(text);

/** The programs of a back end that are installed. All of one are names of one file, which says whose they are: `xtables-nft-multi`. */
export function programsOf(backend: Iptables["backend"]): Iptables | undefined {
  for (const infix of [`-${backend}`, ""]) {
    const path = pathOf(`iptables${infix}`);
    if (path && backendOf(path) === backend) return { backend, infix };
  }
  return undefined;
}

function backendOf(path: string): Iptables["backend"] {
  return basename(realpathSync(path)).includes("nft") ? "nft" : "legacy";
}
