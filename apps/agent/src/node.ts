import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Probe } from "@trigon/health";
import { createKernel, isCutOffFrom } from "@trigon/kernel";
import type { Facts } from "@trigon/model";
import { type Kernel, Ledger } from "@trigon/reconciler";
import { Drains } from "./drain/drains.ts";
import { ReachabilityGuard } from "./guard/reachability.ts";
import { HealthChecks } from "./health/checks.ts";
import { VipChecks } from "./health/vip-checks.ts";
import { type Log, reasonOf } from "./log.ts";
import { type LoopTimes, NodeLoop } from "./loop.ts";
import type { AgentPaths } from "./paths.ts";
import { SlowStarts } from "./slow-start/slow-starts.ts";
import { readIdentity } from "./state/identity.ts";
import { JournalFile } from "./state/journal-file.ts";
import { PlanCache } from "./state/plan-cache.ts";
import { type Policy, readPolicy } from "./state/policy.ts";

export interface Node {
  loop: NodeLoop;
  kernel: Kernel;
  ledger: Ledger;
  health: HealthChecks;
  drains: Drains;
  /** Null on a node that takes plans by hand only. */
  guard: ReachabilityGuard | null;
  close(): Promise<void>;
}

/** Addresses and devices that Trigon itself made are no facts: facts describe the machine as found. */
function isMadeByUs(ledger: () => Ledger | undefined) {
  return (key: string) => ledger()?.owns(key) ?? false;
}

/** Puts the loop together from what is on the disk. The caller holds the lock. `kernel`, `probe` and `guard` are given in tests. */
export async function openNode(options: {
  paths: AgentPaths;
  log: Log;
  onChange(): void;
  kernel?: Kernel;
  probe?: Probe;
  times?: LoopTimes;
  guard?: ReachabilityGuard;
}): Promise<Node> {
  const { paths, log, onChange, times } = options;
  let ledger: Ledger | undefined;
  const kernel = options.kernel ?? createKernel({ isOurs: isMadeByUs(() => ledger), vrrpDirectory: join(paths.state, "vrrp") });
  const { journal, entries, damaged } = JournalFile.open(paths.journal);
  if (damaged > 0)
    log.error("The journal is damaged: what these lines claimed is not known to be Trigon's any more", { damaged });
  const { bootId } = await kernel.facts();
  const owned = new Ledger(bootId, entries);
  ledger = owned;
  const identity = readIdentity(paths.state)?.enrollment ?? null;
  const vipChecks = new VipChecks({ facts: () => loop.facts });
  const health = new HealthChecks({
    path: paths.health,
    log,
    onEffect: (ids) => loop.healthChanged(ids),
    onNews: onChange,
    onEvent: (key, message) => loop.healthEvent(key, message),
    probe: options.probe ?? vipChecks.probe,
  });
  const drains = new Drains({
    counters: (services) => kernel.counters(services),
    connections: (destinations) => kernel.connections(destinations),
    onOut: (ids) => loop.healthChanged(ids),
    onEvent: (key, message) => loop.drainEvent(key, message),
    log,
  });
  const guard =
    options.guard ??
    (identity &&
      new ReachabilityGuard({
        path: join(paths.state, "guard.json"),
        bootId,
        log,
        isCutOff: () => isCutOffFrom(new URL(identity.agentUrl).hostname, addressesOf(loop.facts)),
        takeBack: (step, message) => loop.takeBack(step, message),
      }));
  const slowStarts = new SlowStarts({
    onStep: (ids) => loop.healthChanged(ids),
    disk: { path: join(paths.state, "slow-starts.json"), bootId, log },
  });
  const loop: NodeLoop = new NodeLoop({
    kernel,
    cache: openCache(paths.state, log),
    replaceCache: () => {
      setUnreadableAside(paths.state);
      return PlanCache.open(paths.state);
    },
    journal,
    ledger: owned,
    policy: openPolicy(paths.policy, log),
    identity,
    log,
    onChange,
    health,
    drains,
    slowStarts,
    ...(guard ? { guard } : {}),
    ...(times ? { times } : {}),
  });
  return {
    loop,
    kernel,
    ledger: owned,
    health,
    drains,
    guard,
    async close() {
      guard?.close();
      health.close();
      await vipChecks.close();
      slowStarts.close();
      await drains.close();
      await loop.stop();
      await kernel.close();
    },
  };
}

/** The machine's own, without what Trigon made. */
function addressesOf(facts: Facts | null): string[] {
  return (facts?.interfaces ?? []).flatMap(({ addresses }) => addresses.map(({ address }) => address));
}

export function openPolicy(path: string, log: Log): Policy | null {
  try {
    return readPolicy(path);
  } catch (error) {
    log.error("The policy cannot be read: nothing is changed", { reason: reasonOf(error) });
    return null;
  }
}

function openCache(directory: string, log: Log): PlanCache | null {
  try {
    return PlanCache.open(directory);
  } catch (error) {
    log.error("The cached plan cannot be read: the kernel is left as it is", { reason: reasonOf(error) });
    return null;
  }
}

/** Kept for whoever wants to know what happened. */
function setUnreadableAside(directory: string): void {
  for (const name of ["plan.json", "plan.log"]) {
    const path = join(directory, name);
    rmSync(`${path}.unreadable`, { force: true });
    try {
      renameSync(path, `${path}.unreadable`);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
}
