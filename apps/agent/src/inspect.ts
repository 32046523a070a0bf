import { type FragmentState, kindOfKey, parseFragment, type Resource } from "@trigon/model";
import { ResolveError, resolveFragment } from "@trigon/planner";
import { Desired, type Kernel, Ledger, meets } from "@trigon/reconciler";
import type { Hold } from "./loop.ts";
import type { AgentPaths } from "./paths.ts";
import { readIdentity } from "./state/identity.ts";
import { readJournal } from "./state/journal-file.ts";
import { readPlanCache } from "./state/plan-cache.ts";
import type { AgentStatus } from "./status.ts";
import { tableOf } from "./table.ts";
import { agentVersion } from "./version.ts";

/** The status of a node whose agent does not run, from the disk and the kernel. Reads only. */
export async function inspect(paths: AgentPaths, kernel: Kernel): Promise<AgentStatus> {
  const facts = await kernel.facts();
  const ledger = new Ledger(facts.bootId, readJournal(paths.journal).entries);
  const { hold, position, fragments } = readCache(paths.state);
  const desired = new Desired();
  const trouble = new Map<string, string>();
  for (const raw of fragments.values()) {
    const fragment = parseFragment(raw);
    if (!fragment.success) {
      trouble.set(raw.id, `This agent does not understand it (${raw.kind})`);
      continue;
    }
    try {
      desired.replace(raw.id, raw.hash, resolveFragment(fragment.data, facts));
    } catch (error) {
      if (!(error instanceof ResolveError)) throw error;
      trouble.set(raw.id, error.message);
    }
  }
  const keys = [...desired.keys(), ...ledger.keys()];
  const seen = await kernel.observeAll(keys.filter((key) => kindOfKey(key) === "sysctl" || kindOfKey(key) === "module"));
  const isForeign = (resource: Resource) =>
    (resource.kind === "ipvsService" && !ledger.owns(resource.key)) ||
    (resource.kind === "ipvsDestination" && !ledger.owns(resource.service));
  return {
    version: agentVersion,
    running: false,
    name: readIdentity(paths.state)?.enrollment.name ?? null,
    controller: null,
    hold,
    position,
    fragments: [...fragments.values()].map(({ id, hash }) => stateOf(id, hash, trouble.get(id), desired, seen)),
    table: tableOf({ desired, seen, foreign: [...seen.values()].filter(isForeign) }, Number.POSITIVE_INFINITY),
  };
}

function readCache(directory: string): { hold: Hold | null } & ReturnType<typeof readPlanCache> {
  try {
    return { hold: null, ...readPlanCache(directory) };
  } catch (error) {
    return { hold: { reason: "cache.unreadable", message: (error as Error).message }, position: null, fragments: new Map() };
  }
}

function stateOf(
  id: string,
  hash: string,
  trouble: string | undefined,
  desired: Desired,
  seen: ReadonlyMap<string, Resource>,
): FragmentState {
  if (trouble !== undefined) return { id, hash, state: "failed", reason: "fragment.invalid", message: trouble };
  const stands = desired.fragment(id)!.resources.every(({ key }) => {
    const have = seen.get(key);
    const want = desired.get(key)!;
    return have ? meets(have, want) : (want.kind === "sysctl" || want.kind === "linkState") && want.ifPresent === true;
  });
  if (stands) return { id, hash, state: "applied", reason: null, message: null };
  return { id, hash, state: "waiting", reason: "agent.stopped", message: "It does not stand, and the agent does not run" };
}
